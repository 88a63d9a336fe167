"""Everything a demo or a test needs that production brings itself. The product never imports it."""

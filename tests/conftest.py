"""What every test may ask for: servers and a browser, and a world on top of them."""

pytest_plugins = ["tests.services", "tests.world"]

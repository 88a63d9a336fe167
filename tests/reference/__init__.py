"""A second opinion on the money rules, written from the product page alone."""

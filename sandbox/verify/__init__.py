"""`make verify`: a world of many organizations, each of whose invoices is computed once more."""

"""`make mutants`: faults planted one by one in a copy of the source, for tests to catch."""

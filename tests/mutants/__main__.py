"""`python -m tests.mutants`: how many faults were planted, and how many were caught."""

from tests.mutants.planting import main

if __name__ == "__main__":
    main()

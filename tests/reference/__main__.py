"""`python -m tests.reference --seeds 1000`: the product against the reference."""

from tests.reference.many import main

if __name__ == "__main__":
    main()

"""`python -m sandbox.verify`: its last line says how many invoices differ."""

from sandbox.verify.main import main

if __name__ == "__main__":
    main()

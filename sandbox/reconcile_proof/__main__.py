"""`python -m sandbox.reconcile_proof`: 50,000 invoices, 40 planted differences, all found?"""

from sandbox.reconcile_proof.main import main

if __name__ == "__main__":
    main()

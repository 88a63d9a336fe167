"""`python -m tests.soak --schedules 5000 [--seed S]`: thousands of schedules, none violated."""

from tests.soak.many import main

if __name__ == "__main__":
    main()

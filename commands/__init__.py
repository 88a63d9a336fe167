"""The command line: one module for each noun, assembled by `cli.py`."""

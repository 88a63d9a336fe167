# Each target sets up what it needs, the first time from PyPI and npm; see sandbox/setup.py.
# PYTHON=… names another Python than the first that is new enough.

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; \
	done; echo python3)

SCHEDULES ?= 5000
SEED ?= 0

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo story test check verify soak mutants bench migrate format clean

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | sed 's/|/                /; s/^\(.\{18\}\) */\1/'

setup: ## install what is locked: Python packages and htmx
	@$(PYTHON) -m sandbox.setup

demo: setup ## everything at once, with simulated usage, on http://127.0.0.1:8000
	@.venv/bin/stripe-sync demo

story: setup ## the demo without a person: each step with its proof, in about a minute
	@.venv/bin/stripe-sync story

test: ## every test, the browser's too
	@$(PYTHON) -m sandbox.setup --browser
	@.venv/bin/python -m pytest -n 2 --dist loadgroup --durations=10

check: setup ## format, lint, types, import floors, migrations, schema
	@.venv/bin/python -m sandbox.check

verify: setup ## 1,000 worlds by a second opinion, and each invoice of 2,000 organizations by its events
	@.venv/bin/python -m tests.reference --seeds 1000
	@.venv/bin/python -m sandbox.verify

soak: setup ## 5,000 random schedules of crashes, faults and webhooks (SCHEDULES=…, SEED=…)
	@.venv/bin/python -m tests.soak --schedules $(SCHEDULES) --seed $(SEED)

mutants: setup ## plant faults in a copy of the source, one by one: a test must catch each
	@.venv/bin/python -m tests.mutants

bench: setup ## measure, each figure beside its limit in the same run: under ten minutes
	@.venv/bin/python -m bench

migrate: setup ## bring DATABASE_URL to the newest schema
	@.venv/bin/stripe-sync migrate

format: setup ## format the code and mend what can be mended by itself
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

clean: ## remove all that the other targets made, the demo's data too
	@$(PYTHON) -m sandbox.clean

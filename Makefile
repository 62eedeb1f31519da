# Needs make and Python 3.11 to 3.13; everything else is installed into .venv and .tools.
PYTHON ?= python3
# Tests wait for servers most of the time: two files at once need little more than one. JOBS=0 runs them in one process.
JOBS ?= 2
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick check fmt up down docs bench

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install everything into .venv (the others do it too)
	@$(PYTHON) scripts/bootstrap.py

demo: setup ## The whole loop on real flights: data, training, serving, drift, mail, retraining
	@$(BIN)/noria demo

test: setup ## Every test, against real PostgreSQL, MLflow, SMTP, HTTP and Airflow
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

quick: setup ## Format, lint, import contracts, and the quick tests that need no server
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not server and not slow" --durations=5 --durations-min=1 $(ARGS)

check: setup ## Format, lint, types, import contracts, SQL, use cases
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint dbt_project
	@$(BIN)/noria check

fmt: setup ## Format the code and mend what can be mended
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix
	@$(BIN)/sqlfluff fix --quiet dbt_project

up: setup ## Start PostgreSQL, Airflow, MLflow, serving and a mail catcher
	@$(BIN)/noria up

down: setup ## Stop them all; data stays in .noria
	@$(BIN)/noria down

docs: setup ## Write docs/reference, the use-case schema and the synchronous client from the code
	@$(BIN)/python scripts/sync_client.py
	@$(BIN)/python scripts/reference.py

bench: setup ## List the benchmarks, or run one: make bench NAME=dag_parse
	@$(if $(NAME),$(BIN)/python -m benchmarks.$(NAME) $(ARGS),$(BIN)/python scripts/benchmarks.py)

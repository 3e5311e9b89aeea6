# Caduceus: `make run` to start, `make test` for the tests, `make check` before a commit.
# `make run ARGS="workbench --port 9000"` passes arguments on; PYTHON=... names another Python.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help setup run doctor test check format docs

help:
	@echo "make setup   .venv with everything pinned, and the embedded model"
	@echo "make run     the Discord bot when DISCORD_TOKEN is set, else a page on this machine"
	@echo "make doctor  what is set up, what is not, and what to do"
	@echo "make test    the whole test suite"
	@echo "make check   lint, types, layers, migrations"
	@echo "make format  let ruff fix what it can"
	@echo "make docs    write the README's tables and .env.example anew from the definitions"

setup:
	@PYTHON="$(PYTHON)" ./scripts/setup.sh

run: setup
	@$(BIN)/python -m bot $(ARGS)

doctor: setup
	@$(BIN)/python -m bot doctor

test: setup
	@./scripts/test.sh $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python scripts/readme_tables.py --check
	$(BIN)/python -m bot db check --migrations

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	$(BIN)/python scripts/readme_tables.py

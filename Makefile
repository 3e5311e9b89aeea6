# Caduceus: `make run` to start, `make test` for the tests, `make check` before a commit.
# `make run ARGS="--port 9000"` passes arguments on; PYTHON=... names another Python;
# EXTRAS=gpu,postgres installs more than the light set (by itself: gpu, where an NVIDIA GPU is).
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
EXTRAS ?=

.PHONY: help setup setup-all run doctor test check format docs locks

help:
	@echo "make setup   .venv with what this machine can use, and the embedded model"
	@echo "             (EXTRAS=gpu,postgres,tokenizer,dev adds to it; EXTRAS=no-gpu leaves gpu out)"
	@echo "make run     the Discord bot when DISCORD_TOKEN is set, else a page on this machine"
	@echo "make doctor  what is set up, what is not, and what to do"
	@echo "make test    the whole test suite, with every extra"
	@echo "make check   lint, types, layers, tables, lock files, migrations"
	@echo "make format  let ruff fix what it can"
	@echo "make docs    write the README's tables and .env.example anew from the definitions"
	@echo "make locks   write the lock files anew from what is declared and installed"

setup:
	@PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" ./scripts/setup.sh

setup-all:
	@PYTHON="$(PYTHON)" EXTRAS=all ./scripts/setup.sh

run: setup
	@$(BIN)/python -m bot $(ARGS)

doctor: setup
	@$(BIN)/python -m bot doctor

test: setup-all
	@./scripts/test.sh $(ARGS)

check: setup-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python scripts/readme_tables.py --check
	$(BIN)/python scripts/locks.py --check
	$(BIN)/python -m bot db check --migrations

format: setup-all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	$(BIN)/python scripts/readme_tables.py

locks: setup-all
	$(BIN)/python scripts/locks.py

# The commands of this repository; `make` lists them.
#
# PYTHON is the interpreter that .venv is made from (3.11 or newer). Everything else comes from
# requirements.lock. A file .venv/.installed-EXTRA says that an extra is installed; it is older
# than pyproject.toml or the lock when they have changed.

PYTHON ?= python3
VENV ?= .venv
# For two cores: many tests wait for a daemon, a browser or a time limit, and keep none busy.
WORKERS ?= 3
# Tests sync thousands of small files. In memory, where there are 6 GB of room, this takes no time;
# the long tests use the disk.
ROOM := $(shell df --output=avail /dev/shm 2>/dev/null | tail -1)
IN_MEMORY := $(shell [ "$(ROOM)" -gt 6000000 ] 2>/dev/null && echo TMPDIR=/dev/shm)
# Where compiled files are not kept, each of some hundred processes compiles the package again.
TESTING := env PYTHONDONTWRITEBYTECODE= $(IN_MEMORY)

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo ui test coverage check lint types layers definitions soak docs lock upgrade clean
.PRECIOUS: $(VENV)/.installed-%

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 14

$(VENV)/.installed-%: pyproject.toml requirements.lock tools/install tools/overrides.txt
	@tools/install "$(PYTHON)" "$(VENV)" $*
	@touch $@

demo: $(VENV)/.installed-demo ## install what imagery needs, run its pipeline on a made world, show what it made
	@$(BIN)/estinel demo imagery

ui: $(VENV)/.installed-demo ## open Dagster on what `make demo` left
	@$(BIN)/estinel demo ui

test: $(VENV)/.installed-test ## install what the tests need and run them all but the long ones
	@tools/system-packages
	$(TESTING) $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal \
	    -o tmp_path_retention_policy=failed --durations=12 $(COVERAGE)

# Not part of `test`: measuring branches takes two thirds more time before Python 3.12.
coverage: ## run the tests and show branch coverage
	@$(MAKE) --no-print-directory test COVERAGE='--cov --cov-report=term'

# Properties run in `test` with a few examples each, and here again, with many.
soak: $(VENV)/.installed-test ## run the long tests, and all properties with many examples
	@tools/system-packages
	$(BIN)/python -m pytest -m 'soak or hypothesis' --hypothesis-profile=soak \
	    --numprocesses=$(WORKERS) --dist=worksteal -o tmp_path_retention_policy=failed --durations=12

check: lint types layers definitions docs ## lint, format check, types, layers, definitions, documents

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# With a Dagster home of its own, so that whatever the user has is left alone.
definitions: $(VENV)/.installed-dev
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && cp dagster.yaml "$$home" && \
	DAGSTER_HOME=$$home $(BIN)/dagster definitions validate --workspace workspace.yaml

docs: $(VENV)/.installed-dev ## build the documents into site/
	$(BIN)/python tools/docs-tables --check
	$(BIN)/python tools/bench-tables --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Keeps the versions that are pinned and still fit; `make upgrade` takes the newest.
lock: ## pin what pyproject.toml asks for
	@tools/install "$(PYTHON)" "$(VENV)"
	$(BIN)/uv pip compile pyproject.toml --all-extras --group install --no-config \
	    --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	    --override tools/overrides.txt \
	    --custom-compile-command 'make lock' --output-file requirements.lock --quiet $(LOCK_OPTIONS)

upgrade: ## pin the newest versions that fit
	@$(MAKE) --no-print-directory lock LOCK_OPTIONS=--upgrade

clean: ## remove what was built, measured and shown; .venv stays
	rm -rf .demo site build .coverage .coverage.* htmlcov .hypothesis .import_linter_cache \
	    .mypy_cache .pytest_cache .ruff_cache

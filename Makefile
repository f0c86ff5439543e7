PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help install lock proto client fmt check test test-long test-all e2e sim sim-core soak fuzz mutants mutation coverage up bench manifests image kind

help:  ## this menu
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: .venv/installed  ## a virtual environment from the hash-pinned lock

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: install  ## resolve requirements.lock anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url -c requirements.lock pyproject.toml -o requirements-runtime.lock
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url -c requirements.lock - \
	  -o requirements-build.lock

proto: install  ## regenerate the stubs, and the tables of docs/api.md
	$(BIN)/python tools/generate_proto.py
	$(BIN)/python tools/generate_client.py
	$(BIN)/python tools/generate_api.py

client: install  ## the Python client alone, as a wheel in dist/
	cd clients/sdk && ../../$(BIN)/python -m hatchling build --target wheel --directory ../../dist

fmt: install  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

check: install  ## formatting, lint, types, walls, stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_proto.py --check
	$(BIN)/python tools/generate_client.py --check
	$(BIN)/python tools/generate_api.py --check

# Workers take tests in their order, so that most of a file's share what the file makes once.
PARALLEL := -n auto --maxprocesses 8 --dist worksteal

test: install  ## tests of every room, in at most six minutes on two cores
	$(BIN)/pytest -q $(PARALLEL) -m "not cluster and not long"

test-long: install  ## the tests that `make test` leaves out: long runs, every combination
	$(BIN)/pytest -q $(PARALLEL) -m "not cluster and long"

test-all: test test-long  ## everything that needs no cluster

e2e: install  ## the chart on the cluster of KUBECONFIG, which has inventory:dev; ALL=1, DOCS=1
	INVENTORY_E2E_ALL=$(ALL) INVENTORY_E2E_DOCS=$(DOCS) $(BIN)/pytest -q -s -m cluster \
	  -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=false tests/e2e/cluster

manifests: install  ## the chart's README and copies, and deploy/k8s from the chart; needs helm
	$(BIN)/python tools/render_chart.py
	$(BIN)/python tools/render_manifests.py

BUILDER ?= docker
image:  ## the image inventory:dev, by BUILDER=docker, podman or buildah; BASE_IMAGE=name@sha256:digest
	$(BUILDER) build $(if $(BASE_IMAGE),--build-arg BASE=$(BASE_IMAGE)) --build-arg REVISION=$$(git rev-parse HEAD) --tag inventory:dev .

kind:  ## the chart on a kind cluster of this machine; needs docker, kind, kubectl and helm
	sh tools/kind.sh

up: install  ## three nodes and all that is around them on this machine, with demo data
	$(BIN)/inventory up --demo

sim: install  ## whole nodes from seeds: SEEDS=n of them, or SEED=n alone, repeated exactly
	$(BIN)/python -m sim --seed $(or $(SEED),1) --seeds $(or $(SEEDS),$(if $(SEED),1,200))

sim-core: install  ## consensus alone from seeds: SEEDS=n of them, or SEED=n alone
	$(BIN)/python -m rafttest --first $(or $(SEED),1) --seeds $(or $(SEEDS),$(if $(SEED),1,500))

mutants: install  ## planted bugs: each is caught by its run; SEARCH=1 looks for one afresh
	$(BIN)/python -m mutants $(if $(SEARCH),--search)

mutation: install  ## small changes of judged modules, or of MODULE=name: the tests notice each
	$(BIN)/python -m mutation $(if $(MODULE),--module '$(MODULE)') $(if $(SINCE),--since $(SINCE)) \
	  $(if $(MUTATION_MINUTES),--minutes $(MUTATION_MINUTES)) $(if $(FRESH),--fresh) \
	  $(if $(SURVIVORS),--survivors) $(if $(SCORES),--scores)

coverage: install  ## branches of judged modules, or of MODULE=name, that no test takes
	$(BIN)/python -m mutation --branches $(if $(MODULE),--module '$(MODULE)')

MINUTES ?= 10
fuzz: install  ## decoders under a guided fuzzer, MINUTES=n each, or TARGET=name; KEEP=1 keeps what it found
	$(BIN)/python -m fuzz --minutes $(MINUTES) $(if $(TARGET),--target $(TARGET)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(KEEP),--keep)

soak: install  ## real processes under random faults, with load, for MINUTES=n; SEED=n draws them
	$(BIN)/python -m chaos.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

bench: install  ## orders a second, and failover time, on this machine
	$(BIN)/python bench/orders.py
	$(BIN)/python bench/failover.py
	$(BIN)/python bench/apply.py

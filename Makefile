# Everything a developer does. `make run` and `make test` need Python 3.11 or 3.12 and make, nothing else.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
CHROMIUM := /usr/bin/chromium

# Some environments forbid .pyc files; without them each start of Ray takes six seconds longer.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test bench stress redis torture fuzz audit lint types docs pictures format clean node clock

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/run.stamp ## start the service with a demo tenant on 127.0.0.1:8000; Ctrl-C stops it
	@exec $(BIN)/rewardloop up --demo

test: $(VENV)/dev.stamp $(VENV)/browser.stamp node clock ## run all tests
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# The generated TypeScript client is compiled by Node.js; without it, and without root, its test is skipped.
node:
	@if ! command -v npm >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends nodejs npm; fi

# Without libfaketime, and without root, torture steps no clock of Redis; without root no disk runs full.
clock:
	@if [ -z "$$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends libfaketime || true; fi

stress: $(VENV)/dev.stamp ## overload, and a node that dies: tests that want the machine for themselves; five minutes
	$(BIN)/pytest -m alone

redis: $(VENV)/dev.stamp ## the store's and the application's tests on Sentinel and on a cluster, with replicas; eight minutes
	for run in sentinel cluster; do $(BIN)/pytest --numprocesses 2 --dist loadfile --redis $$run tests/integration || exit; done

torture: $(VENV)/dev.stamp clock ## faults of all kinds under load for MINUTES=20, drawn by SEED, then the check: build/torture.json
	$(BIN)/python -m tests.faults.torture --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/dev.stamp ## CASES=2000 hostile inputs for each of what the suite tries some, then 20 minutes by coverage; 90 minutes
	REWARDLOOP_FUZZ_CASES=$(or $(CASES),2000) $(BIN)/pytest -s $$(grep -rlE "^from tests.fuzzing import" tests)
	set -e; for target in entry lines dsjson obd; do $(BIN)/python -m tests.coverage_fuzz $$target -max_total_time=300; done

audit: .venv-audit/made.stamp ## known vulnerabilities of what is locked, and a bill of materials: build/sbom.json
	@.venv-audit/bin/python .ci/audit.py requirements.lock build

.venv-audit/made.stamp: .ci/audit.lock
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r .ci/audit.lock
	@touch $@

lint: $(VENV)/dev.stamp ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## check types, strictly
	$(BIN)/mypy

docs: $(VENV)/dev.stamp ## build the documentation as a site, build/site/docs/index.html
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -c docs --doctree-dir build/doctrees . build/site

bench: $(VENV)/dev.stamp .venv-peers/speed.stamp ## measure speed beside others: benchmarks/results/speed.md; QUICK=1 is rough
	$(BIN)/rewardloop bench $(if $(QUICK),--quick)

.venv-peers/speed.stamp: benchmarks/speed/peers.py benchmarks/learning/registry.py | $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.speed.peers
	@touch $@

pictures: $(VENV)/dev.stamp ## draw the pictures of docs/models.md anew, from runs of the models; some minutes
	$(BIN)/python -m benchmarks.pictures

format: $(VENV)/dev.stamp ## put the code into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what the targets made, but no data
	rm -rf $(VENV) .venv-audit build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# Tests in tests/browser need Chromium. Where it is missing and may not be installed they are skipped, but never in CI.
$(VENV)/browser.stamp: | $(BIN)/python
	@if [ ! -x "$(CHROMIUM)" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	  else echo "no $(CHROMIUM): the browser tests are skipped; install the package chromium to run them"; fi; \
	fi
	@if [ -x "$(CHROMIUM)" ]; then touch $@; fi

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-dev.lock
	@touch $@

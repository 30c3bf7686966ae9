# Bare `make` runs what CI runs: lint, types, layers, rules, and all tests.
# `make setup test demo up down` work on a fresh machine: they install what is missing.

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

.DEFAULT_GOAL := all
.PHONY: all setup check test load unit bench chaos failover storm sim fuzz sbom licences audit-deps demo docs up down lock clean help

all: check test

help:
	@echo "make          check and test"
	@echo "make setup    the Python environment in $(VENV)"
	@echo "make demo     a sick container is restarted three times and then relieved (KEEP=1 leaves it up)"
	@echo "make up       the real stack; make down stops it"
	@echo "make check    lint, types, layers, rules"
	@echo "make test     the whole suite on real parts"
	@echo "make load     only the tests of load that moves through real balancers (part of make test)"
	@echo "make unit     only what needs neither Docker nor Prometheus"
	@echo "make bench    Relevo beside its peers, one run, one table (QUICK=1: rough; ONLY=ingest,engine: parts)"
	@echo "make chaos    random faults on real processes (N=500 cycles, OUT=file for the figures)"
	@echo "make failover how long nobody acts when the one that acts is gone (N=50 samples)"
	@echo "make storm    ten thousand alerts in a minute, and in one request"
	@echo "make sim      simulated hours with faults (HOURS SEEDS SEED PROFILE BACKEND OUT)"
	@echo "make fuzz     hostile input by the hundred thousand (N cases, SEED, PART, OUT=file for the figures)"
	@echo "make sbom     what the image holds, as CycloneDX JSON (OUT=file, else build/sbom.json)"
	@echo "make licences whether all of that may be given away with it (part of make check)"
	@echo "make audit-deps  known flaws in it, by pip-audit; ends with 3 where nobody can be asked"
	@echo "make docs     renew what is made from the code: openapi.json, api.md, metrics.md"
	@echo "make lock     renew the hash-locked requirements"

setup: $(READY)

$(READY): pyproject.toml requirements-dev.lock deploy/setup.sh
	deploy/setup.sh $(VENV)
	@touch $@

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PYTHON) -m tests.rules
	$(PYTHON) -m tests.supply.licences

test: $(READY)
	deploy/airgap/with-lab.sh $(PYTHON) -m pytest -n 3 --durations=15 $(TESTS)

load: $(READY)
	deploy/airgap/with-lab.sh $(PYTHON) -m pytest -m load $(TESTS)

unit: $(READY)
	$(PYTHON) -m pytest -n 2 -m "not docker and not stack" $(TESTS)

docs: $(READY)
	$(PYTHON) -m tests.reference

demo: $(READY)
	deploy/airgap/with-lab.sh $(PYTHON) deploy/demo/demo.py

bench: $(READY)
	deploy/airgap/programs.sh wrk webhook redis-benchmark prometheus prometheus-alertmanager \
		redis-server busybox docker-compose || true
	deploy/airgap/with-lab.sh $(PYTHON) -m bench.report $(if $(QUICK),--quick) \
		$(if $(ONLY),--only $(ONLY)) $(if $(OUT),--out $(OUT))

chaos: $(READY)
	deploy/airgap/with-lab.sh $(PYTHON) -m tests.chaos.run --cycles $(or $(N),500) \
		$(if $(SEED),--seed $(SEED)) $(if $(OUT),--out $(OUT))

failover: $(READY)
	deploy/airgap/with-lab.sh $(PYTHON) -m tests.chaos.failover --samples $(or $(N),50) \
		$(if $(OUT),--out $(OUT))

storm: $(READY)
	deploy/airgap/with-lab.sh $(PYTHON) -m tests.chaos.storm $(if $(OUT),--out $(OUT))

# HOURS all together, in so many runs, each with a seed of its own: SEED (or 1) and those after it.
HOURS ?= 100
SEEDS ?= 10
PROFILE ?= faults
BACKEND ?= memory

sim: $(READY)
	$(PYTHON) -m tests.sim run --hours $(HOURS) \
		--each $$(( ($(HOURS) + $(SEEDS) - 1) / $(SEEDS) )) --seed $(or $(SEED),1) \
		--profile $(PROFILE) --backend $(BACKEND) $(if $(OUT),--out $(OUT))

fuzz: $(READY)
	$(PYTHON) -m tests.fuzz --cases $(or $(N),20000) --seed $(or $(SEED),1) \
		$(if $(PART),--part $(PART)) $(if $(OUT),--out $(OUT))

sbom: $(READY)
	$(PYTHON) -m tests.supply.sbom $(or $(OUT),build/sbom.json)

licences: $(READY)
	$(PYTHON) -m tests.supply.licences

audit-deps: $(READY)
	$(PYTHON) -m tests.supply.audit

up:
	deploy/up.sh

down:
	deploy/down.sh

lock: $(READY)
	$(VENV)/bin/pip install --quiet uv
	$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade \
		-o requirements.lock
	$(VENV)/bin/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade \
		-c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

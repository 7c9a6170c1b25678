# Everything runs in .venv, which is made here; all that is needed beforehand is make and a Python from 3.11 to 3.13.
# `make up PYTHON=python3.12` chooses one. By default it is the one of .venv if there is one, else the newest that runs:
# a name on the PATH may be the shim of a version manager that has no such version, so each is tried.
ifndef PYTHON
PYTHON := $(shell for candidate in .venv/bin/python python3.13 python3.12 python3.11 python3 python; do \
  "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
    >/dev/null 2>&1 && { echo "$$candidate"; break; }; done)
endif

LOCAL := @$(if $(PYTHON),PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m local,echo 'Flotilla needs Python 3.11, 3.12 or 3.13 with venv and ensurepip.' >&2; exit 1;)
VENV := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help up demo down clean distclean install lint format types unit test soak synth deploy bench bench-fault-lab bench-peers
.NOTPARALLEL:

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## install, start the embedded engine, deploy into it; again after a change
	$(LOCAL) up

demo: up ## run the document corpus through the deployed fleet
	@$(VENV)/python -m cli.demo

down: ## stop the engine; its state is kept
	$(LOCAL) down

clean: ## stop the engine and forget its state
	$(LOCAL) clean

distclean: clean ## also remove all that was installed and built
	@rm -rf .venv .engine-venv node_modules .build cdk.out

install: ## install the tools
	$(LOCAL) install

lint: install ## check style
	@$(VENV)/ruff check --quiet --no-cache
	@$(VENV)/ruff format --check

format: install ## mend style
	@$(VENV)/ruff check --quiet --fix
	@$(VENV)/ruff format --quiet

types: install ## check types
	@$(VENV)/mypy

unit: install ## run the fast tests
	@$(VENV)/python -m pytest --quiet tests/unit

soak: install ## run simulated histories for MINUTES (30), with seeds that the tests do not run
	@PYTHONPATH=layers/flotilla/python $(VENV)/python -m tests.simulation --minutes $(or $(MINUTES),30) --from $(or $(FROM),1000000)

test: lint types ## run every check and every test
	@$(VENV)/python -m pytest

synth: ## synthesize for AWS into cdk.out
	$(LOCAL) cdk synth --quiet

deploy: ## deploy to the AWS account that the environment names
	$(LOCAL) cdk deploy --all

bench: up ## measure beside a bare function and bare clients, and write the results down
	@PYTHONPATH=layers/flotilla/python $(VENV)/python -m benchmarks.throughput
	@$(VENV)/python -m benchmarks.init_time

bench-fault-lab: install ## measure breakers and limits beside other people's, under scripted faults
	@PYTHONPATH=layers/flotilla/python $(VENV)/python -m benchmarks.fault_lab

bench-peers: install ## measure beside Celery, procrastinate, PgQueuer and DBOS; needs redis-server and PostgreSQL
	@PYTHONPATH=layers/flotilla/python $(VENV)/python -m benchmarks.peers $(ARGUMENTS)

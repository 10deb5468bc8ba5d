# The commands of this repository; `make help` lists them. Needs only make and Python 3.11 or newer.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env demo test lint types tests format bench bench-quality bench-images soak clean

help: ## this list
	@echo "make <what>, with PYTHON=... and JOBS=... where wanted:"
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS='|' read -r name text; do printf '  %-13s %s\n' "$$name" "$$text"; done

env: $(READY) ## make the environment in .venv, once

$(READY): pyproject.toml constraints.txt
	@echo "==> Environment: installing into $(VENV) (once; about a minute, more on a slow line)"
	@$(PYTHON) -c 'import sys; sys.exit("sensorad needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "    $(PYTHON) cannot make environments: install its venv package (python3-venv on Debian)"; exit 1; }
	@$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@
	@echo "==> Environment: ready"

demo: $(READY) ## simulated plant -> detector -> scores, events and a report in demo/
	@echo "==> Demonstration: simulate a plant, fit, calibrate, score a log with known faults, report (into demo/)"
	@$(BIN)/sensorad demo -o demo --force

test: lint types tests ## the whole ritual: format, lint, types, tests

lint: $(READY) ## check format and lint
	@echo "==> Format"
	@$(BIN)/ruff format --check .
	@echo "==> Lint"
	@$(BIN)/ruff check .

types: $(READY) ## check types, strictly
	@echo "==> Types"
	@$(BIN)/mypy

# loadfile keeps the tests of a file, and the fixtures that they share, in one process
tests: $(READY) ## run the tests only
	@echo "==> Tests: $(JOBS) processes$(if $(SENSORAD_DATA),, (those on benchmark data are left out: SENSORAD_DATA is not set))"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations 10

format: $(READY) ## write the format and the safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## figures of speed and quality: every tests/benchmarks/bench_*.py
	@set -e; for script in $(sort $(wildcard tests/benchmarks/bench_*.py)); do \
	  echo "==> Benchmark: $$script"; $(BIN)/python $$script; \
	done

bench-quality: $(READY) ## figures of detection on every set in SENSORAD_DATA, beside baselines (MODELS=..., SEEDS=...)
	@echo "==> Quality: detectors beside simple baselines (results in bench/; a stopped run goes on where it stood)"
	@$(BIN)/sensorad bench -o bench --jobs $(JOBS) $(if $(MODELS),--models $(MODELS)) $(if $(SEEDS),--seeds $(SEEDS))

bench-images: $(READY) ## all image experiments at full length, into docs/results/images.md (needs SENSORAD_DATA; SEEDS=...)
	@echo "==> Images: published experiments (results in images/; a stopped run goes on where it stood)"
	@$(BIN)/sensorad image run all --data protocol $(if $(SEEDS),--seeds $(SEEDS)) --jobs $(JOBS) -o images --page docs/results/images.md

soak: $(READY) ## a day of 1,000 machines, and 200 killed streams: every tests/benchmarks/soak_*.py
	@set -e; for script in $(sort $(wildcard tests/benchmarks/soak_*.py)); do \
	  echo "==> Soak: $$script"; $(BIN)/python $$script; \
	done

clean: ## remove what was made, except the environment
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find sensorad cli datasets tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "The environment stays; to make it anew: rm -r $(VENV)"

# Two commands do everything: `make demo` and `make test`. Both set up what they need and are safe to repeat.
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN := $(VENV)/bin
export PYTHONUNBUFFERED = 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM = false

.PHONY: help demo test bench lint docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   set up, drive the embedded world, end with runs/demo/report.html"
	@echo "make test   set up, run every test"
	@echo "make bench  set up, print the benchmark tables"
	@echo "make lint   ruff and mypy"
	@echo "make docs   run the code in docs/tour.md and print where the pages are"

# A stamp per set of packages: it is renewed when what it depends on changes.
$(VENV)/demo.stamp: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  (echo "EyesUp needs Python 3.11 or newer; found $$($(BIN)/python -V). Try: make PYTHON=python3.11 VENV=.venv311"; exit 1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/demo.stamp
	$(BIN)/eyesup demo --out runs/demo

test: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/run_all.py

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy

docs: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests/docs -n 0
	@echo "Read docs/tour.md, docs/architecture.md, docs/results.md"

clean:
	rm -rf runs build dist .pytest_cache .ruff_cache .mypy_cache

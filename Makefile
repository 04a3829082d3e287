# Everything runs in .venv, which is built on first use and again when setup.py changes.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.DELETE_ON_ERROR:
.PHONY: demo test quick lint bench clean

demo: $(INSTALLED)
	$(VENV)/bin/pim attention

# By file, so that the kernels that a test module shares are compiled by one worker.
test: $(INSTALLED)
	$(VENV)/bin/pytest -n auto --maxprocesses 8 --dist loadfile

quick: $(INSTALLED)
	$(VENV)/bin/pytest -m quick -n auto --maxprocesses 8 --dist loadfile

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(INSTALLED)
	$(VENV)/bin/python -m benchmarks.whole_machine
	$(VENV)/bin/python -m benchmarks.attention_bandwidth
	$(VENV)/bin/python -m benchmarks.counting_cost
	$(VENV)/bin/python -m benchmarks.check_cost
	$(VENV)/bin/python -m benchmarks.checkpoint_speed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.py
	@echo "Building $(VENV), which takes about a minute"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -e '.[report,test,dev]'
	touch $@

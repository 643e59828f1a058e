# mmlab: `make help` lists the targets. Everything is installed into .venv; the install and `make wheels` use the network.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,$(if \
  $(shell $(name) -c "import sys, venv, ensurepip; print((3, 11) <= sys.version_info < (3, 15) or '')" 2>/dev/null),$(name))))
OFFLINE := HF_HUB_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-ray lint format lab bench bench-large screenshots wheels clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## draw the demo catalogue, run the six notebooks on it, write data/runs/demo/index.html
	@$(OFFLINE) $(BIN)/mmlab demo

test: $(STAMP) ## run the tests, then the linter
	@$(OFFLINE) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(MAKE) --no-print-directory lint

test-slow: $(STAMP) ## run the slow tests: whole runs over further datasets, int8, a browser, an install
	@$(OFFLINE) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m slow -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-ray: $(STAMP) ## run the tests that start a cluster of Ray, two nodes on this machine
	@$(OFFLINE) $(BIN)/python -m pytest -m ray tests/embed tests/ingest/images tests/items $(ARGS)

lint: $(STAMP) ## check style, layout and types without changing anything
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --num-workers 2

format: $(STAMP) ## repair style and layout, strip the notebooks
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format . ; $(BIN)/nbstripout notebooks/*.ipynb

lab: $(STAMP) ## open JupyterLab at the query panel; runs the demo first where there is none
	@test -e "$${MMLAB_DATA:-data}/runs/demo/index.html" || $(MAKE) --no-print-directory demo
	@$(OFFLINE) $(BIN)/mmlab lab demo $(ARGS)

bench: $(STAMP) ## measure the figures, all or those in ONLY="name name"
	@$(OFFLINE) $(BIN)/python -m tests.bench $(ONLY)

bench-large: $(STAMP) ## a million vectors with int8 quantization: time, memory, disk, recall
	@$(OFFLINE) $(BIN)/python -m tests.bench large

screenshots: $(STAMP) ## take the screenshots in README of the run demo, with chromium
	@$(OFFLINE) $(BIN)/python -m tests.browser.screenshots

wheels: $(STAMP) ## ask the registry whether each pin has a wheel for every Python and platform
	@$(BIN)/python -m tests.check_wheels

clean: ## remove .venv and everything made under data/
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find data -mindepth 1 -maxdepth 1 ! -name README.md ! -name report.jpg ! -name panel.jpg ! -name growth.png -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 to 3.14 with venv is needed; found:" \
	  "$$(python3 --version 2>&1 || echo no python3)." "Name another one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

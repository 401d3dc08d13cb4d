.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup data demo test test-slow lint check format docs faults faults-full dist bench clean

help: ## Show these lines
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 13

setup: $(READY) ## Build the environment in .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

data: $(READY) ## Fetch Shakespeare into data/
	@$(BIN)/python data/fetch_shakespeare.py

demo: data ## Train on Shakespeare for three minutes, then write a page of verse
	$(BIN)/charrnn train data/shakespeare.txt --max-time 3m
	$(BIN)/charrnn sample --length 1500 --temperature 0.7

test: $(READY) ## Run the tests, at most three minutes on two cores
	$(BIN)/python -m pytest -n auto --dist worksteal -q

test-slow: $(READY) ## Run the tests that are marked slow
	$(BIN)/python -m pytest -m "slow and not gpu" -n auto --dist loadfile -q

lint: $(READY) ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test ## Lint, types and the tests of `make test`

format: $(READY) ## Lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Write docs/cli.md anew from --help
	$(BIN)/python docs/cli_reference.py

bench: $(READY) ## Print the table of speed: sampling, training, start, encoding
	$(BIN)/python benchmarks/speed.py

faults: $(READY) ## Break everything a little: kills, disks, files, signals
	$(BIN)/python tests/faults/run.py

faults-full: $(READY) ## The same with full counts, about two hours on two cores
	$(BIN)/python tests/faults/run.py --full

dist: $(READY) ## Build the sdist in dist/, and the wheel from it
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --outdir dist .

clean: ## Remove what was built; data and checkpoints stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

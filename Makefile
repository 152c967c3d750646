# Two commands need nothing but Python 3.11+ with pip, and make: `make demo` and `make test`.
# Each makes .venv first, if it is missing or older than what it is made from; the tests make
# .venv-img2dataset, too.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# img2dataset's pins clash with ours, so it has an environment of its own.
TOOLS := .venv-img2dataset
TOOLS_STAMP := $(TOOLS)/.installed
TOOLS_PINS := recap_assets/pool/downloading/constraints-img2dataset.txt
DATA ?= data

export RECAP_DATA := $(abspath $(DATA))
export DAGSTER_HOME := $(CURDIR)

.PHONY: install tools demo test check bench ui format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing the pinned set into $(VENV): a few minutes, about 7 GB with torch"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $(STAMP)

tools: $(TOOLS_STAMP)  ## What downloads pools that are lists of URLs, in .venv-img2dataset

$(TOOLS_STAMP): $(STAMP) $(TOOLS_PINS)
	$(BIN)/recap install-img2dataset --into $(TOOLS)
	@touch $(TOOLS_STAMP)

demo: install  ## Run the main job on the embedded world: about ten minutes on two cores
	$(BIN)/recap build --yes

test: install tools  ## All tests
	$(BIN)/python -m pytest

check: install tools  ## Format, lint, types, layers, definitions, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	RECAP_INSTANCE=$(RECAP_DATA)/check $(BIN)/dagster definitions validate -w workspace.yaml
	$(BIN)/python -m pytest

bench: install  ## Ratios, each measured in one run on this machine
	$(BIN)/python -m benchmarks

ui: install  ## Dagster's web server and daemon on http://127.0.0.1:3000
	$(BIN)/recap ui

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(TOOLS)

# Two commands need nothing but Python 3.11+ with pip, and make: `make demo` and `make test`.
# Each makes .venv first, if it is missing or older than what it is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= data

export RECAP_DATA := $(abspath $(DATA))
export DAGSTER_HOME := $(CURDIR)

.PHONY: install demo test check bench ui format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing the pinned set into $(VENV): a few minutes, about 7 GB with torch"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $(STAMP)

demo: install  ## Run the main job on the embedded world: about ten minutes on two cores
	$(BIN)/recap build --yes

test: install  ## All tests
	$(BIN)/python -m pytest

check: install  ## Format, lint, types, layers, definitions, tests
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
	rm -rf $(VENV)

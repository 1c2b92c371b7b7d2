# One command each: demo, test, check, bench. Each sets up $(VENV) by itself; only Python >= 3.11, venv and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n + 1)))
SHARED := -n $(JOBS) --dist loadfile --no-loadscope-reorder
ALONE := -n $(shell n=$(JOBS); echo $$((n > 2 ? 2 : n))) --dist load
.PHONY: demo test check bench soak mutants format clean

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "whilst needs Python >= 3.11; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@command -v uv >/dev/null && uv venv -q --allow-existing --seed --python $(PYTHON) $(VENV) || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null && VIRTUAL_ENV=$(abspath $(VENV)) uv pip install -q -e '.[dev]' || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.ready  ## twenty Pokémon one by one, then together
	@$(BIN)/whilst demo

test: $(VENV)/.ready  ## every test, in JOBS processes (one more than there are processors, as many wait), those with a clock last
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python -m pytest -q $(SHARED) -m 'not clocked'
	@$(BIN)/python -m pytest -q $(ALONE) -m clocked

check: $(VENV)/.ready  ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@PATH="$(abspath $(BIN)):$$PATH" VIRTUAL_ENV="$(abspath $(VENV))" $(BIN)/pyright --verifytypes whilst --ignoreexternal
	@$(BIN)/lint-imports

bench: $(VENV)/.ready  ## peers side by side; writes bench/out/ and prints the README's table
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[bench]'
	@$(BIN)/python -m bench

soak: $(VENV)/.ready  ## the tests that take longer than a change should wait
	@WHILST_SOAK=10 $(BIN)/python -m pytest -q --timeout 1800

mutants: $(VENV)/.ready  ## changes the core in some thousand ways: which of them does no test of tests/core notice?
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'mutmut>=3.8'
	@$(BIN)/mutmut run && $(BIN)/mutmut results

format: $(VENV)/.ready
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:
	rm -rf .venv* bench/out mutants

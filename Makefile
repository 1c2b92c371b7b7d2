# One command each: demo, fast, test, check, docs, dist, bench. Each sets up $(VENV) by itself; only Python >= 3.11, venv
# and make are needed (uv is used where it is there).
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(or $(abspath $(wildcard $(BIN)/python)),python3)
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n + 1)))
SHARED := -n $(JOBS) --dist loadfile --no-loadscope-reorder
ALONE := -n $(shell n=$(JOBS); echo $$((n > 2 ? 2 : n))) --dist load
MARKS ?=
TESTS ?=
AND := $(if $(MARKS), and ($(MARKS)))
FAST := tests/core tests/lanes tests/limit tests/flow
INSTALL := @.ci/install $(PYTHON) $(abspath $(VENV))
# what cannot be installed is a row that says so
PEERS = $(INSTALL) "Installing what it is measured against" '.[dev,bench]' || $(BIN)/python -m bench --peers | \
	while read -r peer; do $(INSTALL:@%=%) "  one by one: $$peer" "$$peer" || true; done
# images of containers set it, and then each of some thousand processes of tests compiles all that it loads
unexport PYTHONDONTWRITEBYTECODE
.PHONY: cluster demo fast test check docs pictures dist bench bench-quick bench-cluster bench-sweep soak mutants format clean

$(VENV)/.demo: pyproject.toml
	$(INSTALL) "Installing for the demo in $(VENV), once: 25 packages, 50 MB; uv 10 s, pip 30 s" '.[demo]'
	@touch $@

$(VENV)/.ready: pyproject.toml
	$(INSTALL) "Installing for development in $(VENV), once: 200 packages, 1.3 GB, 1 to 4 min" '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## twenty Pokémon one by one, then together
	@echo "The demo, 10 s, without network: 20 calls one by one, then together; two clients"
	@$(BIN)/whilst demo

fast: $(VENV)/.ready  ## the tests to run after each change: decisions, lanes, limits, flows; under a minute
	@echo "The fast tests: $(FAST)"
	@$(BIN)/python -m pytest -q $(SHARED) -m 'not slow and not clocked' $(FAST)

test: $(VENV)/.ready  ## every test, in JOBS processes (one more than there are processors, as many wait), those with a clock last
	@echo "All tests, $(JOBS) at a time: some 10 min on two cores (make fast: one minute)"
	@$(BIN)/python -m compileall -q src
	@.ci/tests $(BIN)/python '$(SHARED)' -q -m 'not clocked$(AND)' $(TESTS)
	@echo "Now those that hold a rate against the clock, $(word 2,$(ALONE)) at a time: some minutes"
	@.ci/tests $(BIN)/python '$(ALONE)' -q -m 'clocked$(AND)' $(TESTS)

cluster:  ## the tests of calls on a Ray cluster, in an environment of their own; five minutes
	@.ci/cluster $(PYTHON) $(abspath $(VENV)-ray)

bench-cluster:  ## the same for calls on a Ray cluster, in an environment of their own; five minutes; into bench/README.md
	@.ci/install $(PYTHON) $(abspath $(VENV)-ray) "Installing what it is measured against" '.[ray]' 'ray[data]' typing_extensions \
	  pandas 'dask[distributed]'
	@$(abspath $(VENV)-ray)/bin/python -m bench.cluster --write-readme

check: $(VENV)/.ready docs  ## format, lint, types, layers; and the site, whose warnings are errors
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@PATH="$(abspath $(BIN)):$$PATH" VIRTUAL_ENV="$(abspath $(VENV))" $(BIN)/pyright --verifytypes whilst --ignoreexternal
	@$(BIN)/lint-imports

docs: $(VENV)/.ready  ## builds the site into docs/_build/html; a link that leads nowhere is an error; ten seconds
	@$(BIN)/python -m sphinx -q -n -W --keep-going -E -a -j auto -d docs/_build/doctrees docs docs/_build/html
	@echo "The site: docs/_build/html/index.html"

pictures: $(VENV)/.ready  ## runs again what the pictures of the README and the site show, and draws it
	@$(BIN)/python docs/pictures/record.py && $(BIN)/python docs/pictures/draw.py && $(BIN)/python docs/pictures/report.py

dist: $(VENV)/.ready  ## builds dist/: the sdist, and the wheel from it; installs each in a fresh environment and runs it
	@PYTHON="$(PYTHON)" .ci/dist $(BIN)/python

bench: $(VENV)/.ready  ## peers side by side, 22 min; writes the figures into bench/README.md and README.md; BASE=REV beside
	$(PEERS)
	@$(BIN)/python -m bench --write-readme $(if $(BASE),--base $(BASE)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-quick: $(VENV)/.ready  ## the same with fewer inputs and one round, 5 min: a rough picture that is written nowhere
	$(PEERS)
	@$(BIN)/python -m bench --quick $(if $(BASE),--base $(BASE))

bench-sweep: $(VENV)/.ready  ## what a call costs as a run grows: fails at a cliff, draws the curves that the site shows
	@$(BIN)/python -m bench.sweep --draw

soak: $(VENV)/.ready  ## the tests that take longer than a change should wait
	@WHILST_SOAK=10 $(BIN)/python -m pytest -q --timeout 1800

mutants: $(VENV)/.ready  ## 200 small changes of engine, limits and lanes, and 200 of the core: which does no test notice?
	@nice -n 10 $(BIN)/python .ci/mutants.py
	@nice -n 10 $(BIN)/python .ci/mutants.py core --tests core limit flow engine fakes  # which decisions are made is seen by runs, too

format: $(VENV)/.ready
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:
	rm -rf .venv* dist bench/out mutants docs/_build docs/reference/generated

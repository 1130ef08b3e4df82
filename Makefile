# Five targets for people: demo, test, simulate, bench, check. Each makes what it needs
# in .venv; the checkout itself is what runs, nothing has to be reinstalled
# after an edit. PYTHON may name another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test simulate bench check

help:
	@echo "make demo    start a metadata server and three data servers, move a file, compare"
	@echo "make test    every test; needs root and some packages for the system tests (.ci/run)"
	@echo "make simulate  the whole service under faults, from 1000 seeds; SEEDS=n, or SEED=n for one"
	@echo "make bench   measure, beside nfs-ganesha if it is installed"
	@echo "make check   style, types, import contracts, documentation"

demo: $(VENV)/.made-run
	$(BIN)/pnfs demo $(ARGS)

test: $(VENV)/.made-test
	PYTHONPATH=. $(BIN)/python -m tests.run $(TESTS)

simulate: $(VENV)/.made-test
	PYTHONPATH=. $(BIN)/python -m tests.simulation.run $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(ARGS)

bench: $(VENV)/.made-test
	PYTHONPATH=. $(BIN)/python -m benchmarks.run $(ARGS)

check: $(VENV)/.made-check
	$(BIN)/black --check --quiet --diff .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/pydoctor --config setup.cfg -q

$(VENV)/.made-python:
	$(PYTHON) -c 'import sys; sys.exit("pnfs needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv $(VENV)
	touch $@

# compat: the checkout itself on sys.path. The default kind of editable install
# hides twisted/plugins from twistd.
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install -q --config-settings editable_mode=compat -e

$(VENV)/.made-run: $(VENV)/.made-python setup.cfg pyproject.toml
	$(INSTALL) .
	touch $@

$(VENV)/.made-test: $(VENV)/.made-run
	$(INSTALL) '.[test]'
	touch $@

$(VENV)/.made-check: $(VENV)/.made-run
	$(INSTALL) '.[test,check]'
	touch $@

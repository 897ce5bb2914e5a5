# `make demo` and `make test` set up what they need on a fresh machine with Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test test-slow lint clean

demo: .venv/installed
	$(BIN)/python -m brain_tumor.train

test: .venv/ready lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The marks are written last: an interrupted install is started again. The first is of the package alone, which is all
# that the demo needs; the second adds what develops and tests it.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "brain_tumor needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) .
	@touch $@

.venv/ready: .venv/installed
	$(INSTALL) '.[dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info

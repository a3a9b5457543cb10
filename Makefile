# make demo   the whole method on rendered signers, from nothing to a report (CPU, a few minutes)
# make test   style, types and tests
# make parity golden comparison against the published code's numbers; PARITY=DIR for another set

PYTHON ?= python3
PARITY ?= tests/golden/open
BIN := .venv/bin

.PHONY: demo test parity

demo: .venv/core
	$(BIN)/python demo.py

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

parity: .venv/dev
	$(BIN)/python -m tests.parity $(PARITY)

.venv/core: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

.venv/dev: .venv/core requirements-dev.txt
	$(BIN)/pip install --quiet -c requirements.txt -r requirements-dev.txt
	touch $@

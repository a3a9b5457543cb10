# make demo   the whole method on rendered signers, from nothing to a report (CPU, about ten minutes)
# make demo-sentences   the same for whole sentences, and what they mean (CPU, about a quarter of an hour)
# make test   style, types, imports and tests
# make parity golden comparison against the published code's numbers; PARITY=DIR for another set
# make faults breaks trainings, configurations and files in many ways (two hours); VIDEOS=DIR: real videos, not rendered ones
# make bench  time and memory against the plain definitions of the method; results in benchmarks/results.json
# make gpu   what there is to know about a GPU; PARTS='train share' for some of it, SMALL=--small without a GPU
# make ablation what each part of the methods brings, on a harder embedded set, three seeds; hours, and it can be stopped
# make docs   the documentation as a site, in site/
# make mmpose the real mmpose in an environment of its own, .venv-mmpose (half an hour of compiling)

PYTHON ?= python3
PARITY ?= tests/golden/open tests/golden_two_stream/open
BIN := .venv/bin
DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: demo demo-sentences test parity faults bench gpu docs ablation mmpose

demo: .venv/core
	$(BIN)/python demo.py

demo-sentences: .venv/translation
	$(BIN)/python demo_sentences.py

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(DOCS)
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not processes"
	$(BIN)/pytest -m processes

parity: .venv/dev
	$(BIN)/python -m tests.parity $(PARITY)

faults: .venv/dev
	FAULTS=full $(BIN)/pytest -n 2 --dist worksteal -m "not processes" tests/faults
	FAULTS=full $(BIN)/pytest -m processes tests/faults

ablation: .venv/translation
	$(BIN)/python -m benchmarks.ablation

docs: .venv/dev
	$(DOCS)

bench: .venv/core
	$(BIN)/python -m benchmarks $(BENCH)

gpu: .venv/dev
	$(BIN)/python -m benchmarks.gpu $(PARTS) $(SMALL)

.venv/core: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv/translation: .venv/core requirements-translation.txt
	$(BIN)/pip install --quiet -c requirements.txt -r requirements-translation.txt
	touch $@

.venv/dev: .venv/core requirements-dev.txt requirements-mediapipe.txt requirements-webdemo.txt requirements-export.txt requirements-translation.txt
	$(BIN)/pip install --quiet -c requirements.txt -r requirements-dev.txt
	touch $@

MMPOSE := .venv-mmpose/bin/pip install --quiet

mmpose: .venv-mmpose/ready

.venv-mmpose/ready: requirements-mmpose.txt
	$(PYTHON) -m venv .venv-mmpose
	$(MMPOSE) -r requirements-mmpose.txt
	MMCV_WITH_OPS=1 $(MMPOSE) --no-deps --no-build-isolation mmcv==2.1.0
	$(MMPOSE) --no-deps mmpose==1.3.2 mmdet==3.2.0
	$(MMPOSE) --no-build-isolation chumpy==0.70
	touch $@

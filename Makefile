# Each target sets itself up: a fresh machine needs only Python 3.11, git, make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS_EACH ?= 60
# What the benchmarks compare with, and what that needs; without its other dependencies, which would replace torch.
PEERS := pythae==0.1.2 pydantic pydantic-core annotated-types typing-inspection tqdm imageio cloudpickle

.PHONY: demo test lint docs bench setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,docs]'
	touch $@

demo: setup
	rm -rf runs/demo
	$(BIN)/dalm compare digits --seconds $(SECONDS_EACH) --prove --out runs/demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/python -m mkdocs build --quiet

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(PEERS)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) runs build *.egg-info

# Everything here runs on a machine with CPython 3.11 or newer, git and make; the first call makes .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # else each process of the tests compiles the package and its tests again

.PHONY: install demo demo-recognition demo-retrieval docs lint test test-slow clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv  # six times as fast as pip
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $@

demo: demo-recognition demo-retrieval  ## make videos of moving shapes, learn to name and to find them, write runs/demo*/run/*.html

demo-recognition: install
	$(BIN)/side4video demo

demo-retrieval: install
	$(BIN)/side4video demo retrieval

docs: install           ## the documentation as a site in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/docs

lint: install           ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: install           ## all tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slow: install      ## the tests marked slow, which take minutes each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m slow

clean:
	rm -rf .venv runs dist build .pytest_cache .mypy_cache .ruff_cache

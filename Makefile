# Two commands set everything up on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV ?= .venv
BIN = $(VENV)/bin
UV = $(BIN)/uv
UV_VERSION = 0.13.8
# Tests run in so many processes.
JOBS ?= 2

.PHONY: quickstart install test test-slow lint docs lock clean

# Installs the bench without its neural models, runs the quickstart suite, writes and opens its page.
quickstart: $(VENV)/.core
	$(BIN)/ldmbench run quickstart
	$(BIN)/ldmbench report quickstart --to html --output quickstart-page --open

# Everything, neural models and test tools included.
install: $(VENV)/.dev

test: $(VENV)/.dev
	$(BIN)/pytest -n $(JOBS) --dist loadfile --cov

test-slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of systems, metrics, datasets and suites from their cards, then the site: docs/_build/html/index.html.
docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

# Resolve the pinned versions again, for every supported Python at once.
lock: $(VENV)/.uv
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate -q -o requirements-dev.lock
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --no-header --no-annotate -q -c requirements-dev.lock -o requirements.lock

$(VENV)/.uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

$(VENV)/.core: $(VENV)/.uv requirements.lock pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.uv requirements-dev.lock pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python -r requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage* docs/_build dist build

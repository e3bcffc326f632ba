# `make demo` and `make test` set everything up in .venv; nothing but Python, git and make is needed.

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.10 python3,\
            $(shell $(p) -c 'import sys; sys.exit(not (3,10) <= sys.version_info < (3,13))' 2>/dev/null && echo $(p))))
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test apps lint lock clean

demo: .venv/ready
	@$(BIN)/python examples/demo.py

test: .venv/ready-dev lint
	$(BIN)/pytest --cov --cov-report= -n 2 --dist loadgroup tests
	@$(BIN)/coverage report --skip-covered --fail-under=85

# Everything that needs a heavy toolchain of another language: fetched into a cache on first use. What this
# machine cannot do is skipped with its reason, and counted in the last line.
apps: .venv/ready-dev
	$(BIN)/pytest -m apps tests

lint: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Bytecode is compiled at once: without it TensorFlow takes seconds longer at every start.
.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is needed; set PYTHON=..."; exit 1; }
	@echo "Setting up .venv: about 3 GB, mostly TensorFlow; once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.venv/ready-dev: .venv/ready requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements-dev.lock
	@touch $@

# Renew both lock files from pyproject.toml. They hold for Python 3.10 to 3.12 on every system.
lock:
	uv pip compile --quiet --universal --python-version 3.10 --no-header --no-emit-index-url \
	  pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.10 --no-header --no-emit-index-url \
	  pyproject.toml --group dev -o requirements-dev.lock

clean:
	rm -rf .venv demo

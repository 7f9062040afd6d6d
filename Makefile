# The five commands of a newcomer stand in CONTRIBUTING.md. Everything runs in .venv, which `make venv` creates.

# The first Python that fits; another one: make venv PYTHON=python3.13
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
    $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; \
  done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv demo test lint bench services clean

venv: $(VENV)/.installed

$(VENV)/.installed: constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.13 found; install one, or name it: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m compileall -q llmops_cli
	@touch $@

demo: venv
	$(BIN)/llmops demo rate-limit --seed 7 --end 2025-07-09T14:30:00+08:00 --timezone Asia/Shanghai

test: venv
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: venv
	$(BIN)/python -m compileall -q llmops_cli
	$(BIN)/python bench/bench.py

# A Java compiler and real Logback: a test writes its logs with them. Silent when they are there, never in the way when
# they cannot be had: the test is then left out, and `make test` says so.
services:
	@if [ -e /usr/share/java/logback-classic.jar ] && command -v javac >/dev/null; then exit 0; fi; \
	as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
	get="$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y"; \
	$$get update >/dev/null 2>&1; \
	if $$get install --no-install-recommends liblogback-java default-jdk-headless >/dev/null 2>&1; \
	then echo "services: Logback and a Java compiler installed"; \
	else echo "services: liblogback-java and default-jdk-headless could not be installed (that takes root and apt-get)"; fi

clean:
	rm -rf $(VENV) build dist llmops-demo .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# uv installs in half a minute; where it cannot reach the index (a proxy's certificate, say), pip does.
# `make demo` runs the whole chain on the simulated survey. `make test` runs the static checks and the tests;
# `make test-all` adds those marked `stress`. All set up .venv from nothing first.
PYTHON ?= python3
VENV := .venv
OUT ?= runs/default
PACKAGES := --constraint constraints.txt --editable '.[all,test]'

.PHONY: demo check test test-all docs install clean
install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else "lensjax needs Python 3.11 or 3.12, this is %d.%d: try make PYTHON=python3.11 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(VENV)/bin/python $(PACKAGES) || $(VENV)/bin/python -m pip install --disable-pip-version-check $(PACKAGES)
	@touch $@

demo: install
	$(VENV)/bin/lensjax run --out $(OUT)

# What .pre-commit-config.yaml runs as well; the tools are those of .venv.
check: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: check
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not stress"

test-all: check
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

# The site of docs/, with the notebooks run; without the network once the packages are there.
docs: install
	$(VENV)/bin/python -c 'import furo, myst_nb' 2>/dev/null || $(VENV)/bin/python -m pip install --disable-pip-version-check --constraint constraints.txt furo myst-nb sphinx
	$(VENV)/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) runs

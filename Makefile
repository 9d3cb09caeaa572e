# Everything needs one virtual environment, which is made where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXAMPLES := build/examples
INSTALLED := $(VENV)/.installed

.PHONY: audit test lint lab examples clean

audit: $(INSTALLED)  ## Audit the built-in model; prints the path of the report last.
	@$(BIN)/workbench audit

test: lint  ## All checks: ruff, types, import-linter, pytest.
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(INSTALLED)  ## ruff, types, import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: $(INSTALLED)  ## JupyterLab on the audit's notebooks; ARGS are JupyterLab's own options.
	$(BIN)/workbench lab $(ARGS)

examples: $(INSTALLED)  ## The reports in reports/examples, made anew: both organisms, their difference, their history.
	rm -rf $(EXAMPLES)
	$(BIN)/workbench audit organism:planted --out $(EXAMPLES)
	$(BIN)/workbench audit organism:clean --out $(EXAMPLES)
	cp $(EXAMPLES)/planted/*/report.html reports/examples/planted.html
	cp $(EXAMPLES)/clean/*/report.html reports/examples/clean.html
	cp $(EXAMPLES)/planted/*/model-card.md reports/examples/planted-model-card.md
	$(BIN)/workbench diff $(EXAMPLES)/planted/* $(EXAMPLES)/clean/* \
	  --html reports/examples/planted-against-clean.html
	for items in 16 32 64 128; do \
	  $(BIN)/workbench audit organism:planted --suite quick --limit $$items --out $(EXAMPLES); \
	done
	$(BIN)/workbench history $(EXAMPLES) --html reports/examples/history.html

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; set PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[lab,dev]'
	@touch $@

clean:  ## Remove the environment and what tools left behind.
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

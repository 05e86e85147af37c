# One word per chore. `make help` prints them; each says what it does while it does it.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
# One line for each twenty packages: enough to see that it goes on.
PROGRESS := awk '/^Collecting/ && ++n % 20 == 0 {print "  " n " packages found …"; fflush()} /^Installing collected/ {print "  installing them …"; fflush()} /^ERROR/ {print}'
WORKERS ?= 2

.PHONY: help demo tour run test check bench parity storm mutants fuzz canary train docs vendor screenshots clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo ## Start everything, walk through it as people would, leave it running (ONCE=1: stop after the walk)
	@$(BIN)/python -m demo $(if $(ONCE),--once)

tour: $(VENV)/.demo ## Tell one story through the real product, each step held to what it says: make tour NAME=policy
	@$(BIN)/python -m demo.tours.$(NAME)

run: $(VENV)/.demo ## Run a gateway with your own settings: make run CONFIG=imprimatur.yaml
	@$(BIN)/imprimatur serve $(if $(CONFIG),--config $(CONFIG))

test: $(VENV)/.test ## Run the whole test suite
	@$(BIN)/python -m tests.support.requirements
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: $(VENV)/.test ## Lint, types, import contracts, chart, docs
	@echo "ruff …" && $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@echo "mypy --strict …" && $(BIN)/mypy
	@echo "import contracts …" && $(BIN)/lint-imports --no-cache
	@echo "Helm chart …" && $(BIN)/python -m helm.check
	@echo "docs …" && $(BIN)/python -m docs.gen --check && NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir .cache/site
	@echo "All checks passed."

bench: $(VENV)/.bench ## Print one table of figures: make bench NAME=audit|content|diversity|gateway|identity|model|model-gpu|pictures|policy|provenance|screening
	@$(BIN)/python -m bench.$(subst -,_,$(NAME))

parity: $(VENV)/.test ## Ask the embedded engine and OPA's own 5,000 questions and every test of the rules (ARGS="--questions 100000")
	@$(BIN)/python -m tests.parity $(ARGS)

storm: $(VENV)/.test ## Kill the audit log's processes a thousand times and look what was lost (ARGS="--kills 200")
	@$(BIN)/python -m tests.storm $(ARGS)

mutants: $(VENV)/.test ## Take each security check away in turn and look that a test goes red: make mutants NAME=identity|policy
	@$(BIN)/python -m tests.mutants $(NAME) $(ARGS)

fuzz: $(VENV)/.test ## Feed hostile inputs to what reads strangers' bytes: make fuzz NAME=screening SECONDS=60
	@$(BIN)/python -m tests.fuzz $(NAME) --seconds $(or $(SECONDS),60) $(ARGS)

canary: $(VENV)/.test ## Send secrets through every way in and look where they turn up (ARGS=--postgres)
	@$(BIN)/python -m tests.canary $(ARGS)

train: $(VENV)/.test ## Train the embedded model again from public artwork (hours on a CPU)
	@$(BIN)/python -m model_server.embedded.train $(ARGS)

docs: $(VENV)/.test ## Build the documentation into site/
	@$(BIN)/python -m docs.gen && NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

vendor: ## Fetch the pinned third-party fonts and scripts again and check their sums (needs npm)
	@$(PYTHON) vendor/vendor.py

screenshots: $(VENV)/.test ## Take pictures of every page into artifacts/screenshots
	@$(BIN)/python -m pytest -q tests/browser -m browser -p no:randomly

clean: ## Remove what the other targets made (virtual environment, demo state, caches)
	rm -rf $(VENV) .demo .cache artifacts site

$(VENV)/bin/python:
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { echo "Install the venv module first: apt-get install python3-venv"; exit 1; }

define install
	@echo "Installing $(1) (a few minutes the first time) …"
	@$(PIP) --editable '.[$(1)]' | $(PROGRESS)
	@touch $@
endef

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,demo)

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,test)
	@# OPA's own engine as a library, the oracle of the policy tests. It asks for a newer Python than it needs.
	@$(PIP) --quiet --no-deps --ignore-requires-python opa-golib-python-bindings==0.4.4

$(VENV)/.bench: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,bench)

# TenantHub's commands. `make help` lists them; a comment behind a target is its line there.
#
# Each target first calls tools/setup.sh, which ends at once when .venv and node_modules are as the lock files want them.
# PYTHON=… names the Python that a new .venv is made with; by default the first one on the PATH that is new enough.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

export PYTHON
BIN := .venv/bin
SETUP_RUN := sh tools/setup.sh run
SETUP_DEV := sh tools/setup.sh dev

##@ Use it
.PHONY: run stop token setup code-server
run: ## Start TenantHub on this machine; the first time, set everything up
	@$(SETUP_RUN)
	@exec $(BIN)/tenanthub run

stop: ## Stop it, with everything it has started
	@$(SETUP_RUN)
	@exec $(BIN)/tenanthub stop

token: ## Print an API token of an account: make token USER=physics-member
	@$(if $(filter command line,$(origin USER)),,echo "usage: make token USER=physics-member" >&2; exit 2)
	@$(SETUP_RUN) >&2
	@exec $(BIN)/tenanthub token "$(USER)"

setup: ## Only set everything up
	@$(SETUP_RUN)

code-server: ## Install code-server, for the card VS Code (needs a C++ compiler)
	@$(SETUP_RUN)
	@exec $(BIN)/python -m images.ide.install

##@ Work on it
.PHONY: test lint format bench pictures lock generate clean
test: ## Run every test this machine can carry: make test ARGS="tests/unit -k quota"
	@$(SETUP_DEV)
	@exec $(BIN)/python -m pytest $(ARGS)

lint: ## Check style, types, imports, file lengths, generated files, locks
	@$(SETUP_DEV)
	@exec $(BIN)/python -m tools.lint

format: ## Format the Python files
	@$(SETUP_DEV)
	@$(BIN)/ruff check --quiet --fix .; exec $(BIN)/ruff format .

bench: ## Measure; the tables are in docs/benchmarks.md
	@$(SETUP_DEV)
	@exec $(BIN)/python -m tests.bench $(ARGS)

pictures: ## Take the README's pictures anew, in a real browser
	@$(SETUP_DEV)
	@exec $(BIN)/python -m tests.browser.pictures

generate: ## Write the generated files anew (schemas, reference)
	@$(SETUP_DEV)
	@exec $(BIN)/python -m tools.drift --write

lock: ## Renew requirements*.lock and package-lock.json after a change of dependencies: make lock ARGS=--upgrade
	@$(SETUP_DEV)
	@exec $(BIN)/python -m tools.lock $(ARGS)

clean: ## Remove .venv, node_modules, build and caches; what the hub keeps in its state folder stays
	@rm -rf .venv node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Kubernetes
BED := exec $(BIN)/python -m tests.cluster.bed
.PHONY: images cluster-up cluster-down cluster-build
images: ## Build the images that run on a cluster, and push them: make images ARGS=--help
	@$(SETUP_RUN)
	@exec $(BIN)/python -m tools.images $(ARGS)

cluster-up: ## Raise a real Kubernetes on this machine for the tests (Debian, root): make cluster-up ARGS="--nodes 0"
	@$(SETUP_DEV)
	@$(BED) up $(ARGS)

cluster-down: ## Take it down, whatever state it is in; nothing is left behind: make cluster-down ARGS=--all
	@$(SETUP_DEV)
	@$(BED) down $(ARGS)

cluster-build: ## Only build its programs into the cache outside the clone (about 15 minutes, once)
	@$(SETUP_DEV)
	@$(BED) build

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "%s%s\n", (n++ ? "\n" : ""), substr($$0, 5) } \
	  /^[a-z][a-z -]*:.*## / { printf "  make %-24s %s\n", $$1, $$2 }' Makefile

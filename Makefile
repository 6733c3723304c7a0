# What can be done here. The work itself is in firmware/setup.sh.
#
#   PYTHON=python3.12 make ...   to use another Python than python3 (3.11 or newer)
#   make test ARGS="-k models"   to hand pytest (or the benchmarks, or the demo) arguments

SETUP := bash firmware/setup.sh
BIN := .venv/bin

# onnxruntime since 1.29 reports its use to its maker unless told not to. Sound stays home.
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench models install uninstall lock clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## try the panel without a microphone, on this machine; the first time installs what is missing
	@$(SETUP) packages demo
	@$(SETUP) venv
	@$(SETUP) models
	@$(BIN)/python tests/demo $(ARGS)

test: ## run all tests
	@$(SETUP) packages test
	@$(SETUP) venv dev
	@$(SETUP) models
	@$(BIN)/python -m pytest $(ARGS)

lint: ## check style and types
	@$(SETUP) packages run
	@$(SETUP) venv dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests

bench: ## measure speed and recognition
	@$(SETUP) packages test
	@$(SETUP) venv dev
	@$(SETUP) models
	@$(BIN)/python tests/bench $(ARGS)

models: ## fetch the models
	@$(SETUP) packages run
	@$(SETUP) venv
	@$(SETUP) models

install: ## install as a service, for all users of this machine (as root)
	@$(SETUP) install

uninstall: ## remove the service again; settings and models stay (as root)
	@$(SETUP) uninstall

lock: ## bring the lock files up to date with pyproject.toml
	@$(SETUP) lock

clean: ## remove what was made here; models and packages stay
	rm -rf .venv build dist firmware/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find firmware tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Each target does all of its own set-up: a fresh Debian or macOS with Python 3.10+ is enough.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
SYNCED := .venv/.synced
# Debian packages of the real servers that tests start.
SYSTEM_PACKAGES := prometheus prometheus-alertmanager victoria-metrics chromium npm
# Grafana's own types and components, from npm.
SCHEMA := grafana/schema/node_modules/.package-lock.json
CHAIN := tests/contracts/node_modules/.package-lock.json
PREVIEW := grafana/preview/dist/index.html
# Kubernetes' and prometheus-operator's own schemas, from npm; Ansible, from PyPI.
KUBERNETES := deploy/kubernetes/check/node_modules/.package-lock.json
ANSIBLE := .ansible/.installed

# Where `make install` puts the command: for everybody as root, else for you;
# and with what beyond it: make install EXTRAS="chain nvidia"
EXTRAS ?=
PREFIX ?= $(shell [ "$$(id -u)" = 0 ] && echo /usr/local || echo "$$HOME/.local")

.PHONY: help demo install test lint bench bench-fleet docs boards boards-schema boards-preview boards-pictures chain-node ansible kubernetes pictures clean system-packages

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(SYNCED) ## Run a simulated swarm of three nodes and the exporter on it
	@$(BIN)/swarm-exporter demo --instances 3

install: $(SYNCED) ## Install the command swarm-exporter below PREFIX (/usr/local as root, else ~/.local)
	@mkdir -p "$(PREFIX)/bin"
	@UV_PROJECT_ENVIRONMENT="$(PREFIX)/lib/swarm-exporter" $(BIN)/uv sync --quiet --locked --no-dev --no-editable $(EXTRAS:%=--extra %) --python $(PYTHON)
	@ln -sf "$(PREFIX)/lib/swarm-exporter/bin/swarm-exporter" "$(PREFIX)/bin/swarm-exporter"
	@command -v swarm-exporter >/dev/null && echo "installed: swarm-exporter --instances 3" || \
		echo "installed: $(PREFIX)/bin/swarm-exporter --instances 3 (add $(PREFIX)/bin to your PATH)"

test: $(SYNCED) system-packages $(SCHEMA) $(CHAIN) $(KUBERNETES) $(ANSIBLE) lint ## Run every test; real servers are installed on Debian as root
	$(BIN)/pytest

lint: $(SYNCED) ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@! $(BIN)/python -c 'import grafana_foundation_sdk' 2>/dev/null || $(BIN)/mypy --python-version 3.11 -p boards

bench: $(SYNCED) ## Measure everything beside something, print ratios, write bench/results.json (30 minutes)
	$(BIN)/python bench/run.py

bench-fleet: $(SYNCED) system-packages ## Measure what 50 and 200 machines cost Prometheus (12 minutes)
	$(BIN)/python bench/fleet.py

docs: $(SYNCED) ## Write docs/metrics.md from the catalogue
	$(BIN)/python -m swarm_exporter.metrics.reference > docs/metrics.md

# The boards' SDK asks for Python 3.11. SWARM_BOARD_LANG=zh make boards: the first folder in Chinese.
boards: $(SYNCED) ## Write grafana/dashboards from grafana/boards, and the same in Chinese
	PYTHONPATH=grafana $(BIN)/python -m boards grafana/dashboards
	SWARM_BOARD_LANG=zh PYTHONPATH=grafana $(BIN)/python -m boards grafana/dashboards-zh

boards-schema: $(SCHEMA) ## Check grafana/dashboards against the types of Grafana's own front end
	node grafana/schema/check.js grafana/dashboards/*.json grafana/dashboards-zh/*.json

boards-preview: $(PREVIEW) ## Build grafana/preview, which draws the boards with Grafana's own components

boards-pictures: $(SYNCED) $(PREVIEW) ## Draw every panel of every board, and fail where one cannot be drawn
	SWARM_TEST_REQUIRE_REAL=1 $(BIN)/pytest tests/boards/test_preview.py

pictures: $(SYNCED) $(PREVIEW) ## Draw the pictures of the status page and the boards again (2 minutes)
	$(BIN)/python tests/real/pictures.py docs/pictures

chain-node: $(CHAIN) ## Install the chain and the compiler that tests of the chain source use

ansible: $(ANSIBLE) ## Install Ansible, which the tests of deploy/ansible run

kubernetes: $(SYNCED) $(KUBERNETES) ## Write deploy/kubernetes/prometheusrule.yaml from prometheus/rules
	$(BIN)/python deploy/kubernetes/generate.py

# Apart from .venv: it is a program, and pins what ours does not.
$(ANSIBLE): deploy/ansible/requirements.txt | $(SYNCED)
	@$(PYTHON) -m venv --clear .ansible
	@.ansible/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Node.js is needed (apt-get install npm, brew install node), for the preview from 20.19 on. npm's own
# list of what it has installed is the stamp.
NPM_CI := npm ci --silent --no-audit --no-fund --ignore-scripts

$(SCHEMA) $(CHAIN) $(KUBERNETES): %/node_modules/.package-lock.json: %/package-lock.json | system-packages
	@command -v npm >/dev/null || { echo "make: npm is not installed; tests that need $* are skipped"; exit 0; }; \
	cd $* && $(NPM_CI) && touch node_modules/.package-lock.json

$(PREVIEW): grafana/preview/package-lock.json $(wildcard grafana/preview/src/*) grafana/preview/vite.config.js
	cd grafana/preview && $(NPM_CI) --legacy-peer-deps && npm run --silent build

clean: ## Remove what make has made
	rm -rf .venv .ansible dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# uv installs exactly what uv.lock names, hashes checked, into .venv.
$(SYNCED): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "make: Python 3.10 or newer is needed; install it (brew install python, apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -m venv --clear .venv >/dev/null 2>&1 || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		echo "make: installing python3-venv" && apt-get update -qq 2>/dev/null && \
		apt-get install -qq -y --no-install-recommends python3-venv >/dev/null 2>&1 && \
		$(PYTHON) -m venv --clear .venv; } || { \
		echo "make: $(PYTHON) cannot make a virtual environment; install python3-venv"; exit 1; }
	@echo "make: installing what uv.lock names into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=.venv UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --locked --inexact --python $(BIN)/python
	@touch $@

# Only Debian as root can be served here; elsewhere the tests say what is missing and skip those.
system-packages:
	@missing=; for p in $(SYSTEM_PACKAGES); do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		echo "make: installing$$missing" && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; } || \
	echo "make: not installed:$$missing; the tests that start them are skipped"

# Tidemill. `make` lists the targets; each needs only python3 (3.11 to 3.13); tests and the local broker want Java and Maven.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench up down status stack map lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Run the main job in process: real ticks to jump loss, into embedded ClickHouse, to a page.
	@$(BIN)/tidemill demo

test: $(READY) ## Run every test, on a broker that the tests start themselves.
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

lint: $(READY) ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## Measure against what else one could use, side by side.
	$(BIN)/python -m bench

up: $(READY) ## Start the local stack without Docker: a real Kafka.
	@$(BIN)/tidemill up

down: $(READY) ## Stop the local stack.
	@$(BIN)/tidemill down

status: $(READY) ## Show topics, lag, last values and ages.
	@$(BIN)/tidemill status

stack: .env ## Start everything in Docker: Redpanda, registry, Console, ClickHouse, Grafana, feed, worker, sink.
	docker compose up --build --detach --wait

.env: # passwords nobody else has
	@umask 077 && $(PYTHON) -c 'import re, secrets; print(re.sub(r"(?m)^(\w*PASSWORD=)$$", lambda line: line[1] + secrets.token_hex(24), open(".env.example").read()), end="")' > $@

map: $(READY) ## Write the data-flow map into the README.
	@$(BIN)/tidemill map --write README.md

lock: $(READY) ## Resolve the dependencies anew, with hashes and for every platform.
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 --no-emit-index-url --quiet --output-file requirements.lock

clean: ## Remove what make made: the environment and .tidemill.
	rm -rf $(VENV) .venv-bench .tidemill

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "Tidemill needs Python 3.11 to 3.13, not %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Installing what requirements.lock names into $(VENV), once; a minute or two."
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

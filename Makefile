# Two commands do everything: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# The tests start a server hundreds of times: compile it once.
unexport PYTHONDONTWRITEBYTECODE

# What client_js is developed with, and what it is built into.
NODE_MODULES := client_js/node_modules/.package-lock.json
# The parser that checks protocol/asyncapi.json.
ASYNCAPI_PARSER := tests/support/asyncapi/node_modules/.package-lock.json
JS_DIST := client_js/dist/keystay.min.js

.PHONY: help run test test-long soak fuzz-api check client-js bench bench-publish bench-propagation configuration asyncapi reference docs format lock clean

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

run: .venv/server  ## Start a server to try things on, and its demo: anonymous login, nothing kept.
	@echo 'Keystay starts. In a minute you see what it is for, in a browser:'
	@echo
	@echo '    http://127.0.0.1:8331/demo'
	@echo
	@echo 'Or in a second terminal: hold a session and watch what happens to it:'
	@echo
	@echo '    $(BIN)/python -m keystay'
	@echo
	@echo 'It prints the session with its id. In a third, end it, and look at the second:'
	@echo
	@echo '    $(BIN)/keystay session end ID --reason banned'
	@echo
	@echo 'Clients of your own connect to ws://127.0.0.1:8330; README.md has a program to begin with.'
	@echo
	@$(BIN)/keystay serve --dev --store memory:// --activity none

test: .venv/dev $(JS_DIST) $(ASYNCAPI_PARSER)  ## Run the tests.
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile
	@PYTHON=$(CURDIR)/$(BIN)/python $(BIN)/node --test --test-timeout=60000 tests/client_js/*.test.js

test-long: .venv/dev $(JS_DIST)  ## Run those that take long: floods, fuzzing, models at length, a browser, nginx and HAProxy, webhooks under SIGKILL.
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m long --ignore tests/browser
	@# By themselves: they measure how smoothly a page runs.
	@$(BIN)/python -m pytest --numprocesses 1 -m long tests/browser

soak: .venv/dev  ## Run two nodes under chaos for 3 minutes, and check all that 500 clients were told.
	@$(BIN)/python -m tests.soak

fuzz-api: .venv/dev  ## Ask the HTTP API for thousands of things, right and wrong, that its description suggests.
	@$(BIN)/python -m tests.server.control.fuzz --max-examples 500

bench: .venv/dev benchmarks/peers/node_modules/.package-lock.json  ## Measure everything, beside the peers that are there; 15 minutes. Results: build/bench/.
	@$(BIN)/python -m benchmarks.suite

bench-publish: .venv/dev  ## Put the results of the last `make bench` into the documentation.
	@$(BIN)/python -m benchmarks.publish

bench-propagation: .venv/dev  ## Measure how soon clients are told, on two nodes; two minutes.
	@$(BIN)/python -m benchmarks.propagation

check: .venv/dev $(NODE_MODULES)  ## Lint, types, layers.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/node client_js/node_modules/typescript/bin/tsc --project client_js --noEmit

client-js: $(JS_DIST)  ## Build the JavaScript client into client_js/dist, and for the demo.
	@cp $(JS_DIST) server/keystay_server/control/demo/assets/

configuration: .venv/dev  ## Make docs/reference/configuration.md from the schema.
	@$(BIN)/python -m keystay_server.settings.page > docs/reference/configuration.md

asyncapi: .venv/dev  ## Make protocol/asyncapi.json from the command table.
	@$(BIN)/python -m keystay_server.gateway.asyncapi > protocol/asyncapi.json

reference: .venv/dev  ## Make the tables of docs/reference/ from the code.
	@$(BIN)/python docs/site/reference.py

docs: .venv/dev  ## Build the site of the documentation into build/docs/site, with all links checked.
	@$(BIN)/python docs/site/build.py

format: .venv/dev  ## Put the code into shape.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock:  ## Choose the versions in constraints/ anew from the ranges in pyproject.toml (needs uv).
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra server --group pyproject.toml:build \
	    --generate-hashes --no-emit-index-url --no-header --no-annotate -o constraints/server.txt
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra server --group pyproject.toml:dev \
	    --generate-hashes --no-emit-index-url --no-header --no-annotate -o constraints/dev.txt -c constraints/server.txt

clean:  ## Remove what the other targets made.
	rm -rf client_js/node_modules client_js/dist
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# One environment, two sizes: what the server needs, and what developing needs on top.
.venv/%: constraints/%.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json | .venv/dev
	@$(BIN)/npm --prefix $* ci --loglevel=error >/dev/null
	@touch $@

$(JS_DIST): $(NODE_MODULES) client_js/build.mjs client_js/tsconfig.json $(wildcard client_js/src/*.ts)
	@$(BIN)/node client_js/build.mjs

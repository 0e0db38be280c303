# Each target is an alias of `python3 dev.py TARGET`, which does its own set-up and works without make.
# Arguments: make run ARGS="--help"
PYTHON ?= $(or $(shell for p in python3 python3.13 python; do $$p -c "import sys; sys.exit(sys.version_info < (3, 8))" 2>/dev/null && echo $$p && break; done),$(error no Python was found on the PATH; Everscore needs Python 3.13))
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test up services status down chaos model lint format setup lock clean

help: ; @$(PYTHON) dev.py help
run: ; @$(PYTHON) dev.py run $(ARGS)
test: ; @$(PYTHON) dev.py test $(ARGS)
up: ; @$(PYTHON) dev.py up $(ARGS)
services: ; @$(PYTHON) dev.py services $(ARGS)
status: ; @$(PYTHON) dev.py status $(ARGS)
down: ; @$(PYTHON) dev.py down $(ARGS)
chaos: ; @$(PYTHON) dev.py chaos $(ARGS)
model: ; @$(PYTHON) dev.py model $(ARGS)
lint: ; @$(PYTHON) dev.py lint $(ARGS)
format: ; @$(PYTHON) dev.py format $(ARGS)
setup: ; @$(PYTHON) dev.py setup $(ARGS)
lock: ; @$(PYTHON) dev.py lock $(ARGS)
clean: ; @$(PYTHON) dev.py clean $(ARGS)

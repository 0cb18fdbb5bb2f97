# The commands of the project; DEVELOPERS.md says more. `make` alone lists them.
PYTHON := .venv/bin/python
TESTS ?= tests
SCRIPTS := $(wildcard scripts/*.py)
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-v2 check format bench soak works clean

help: ## list the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Debian packages (as root) and .venv; quick when done
	@scripts/setup

demo: setup ## run a real container and clean up again
	@scripts/demo

check: setup ## formatting, lint, types, import layers
	.venv/bin/ruff format --check corten tests bench $(SCRIPTS)
	.venv/bin/ruff check corten tests bench $(SCRIPTS)
	.venv/bin/mypy corten
	.venv/bin/lint-imports

test: setup check ## everything that decides whether a change is good; TESTS=path for a part
	mkdir -p build
	@rm -f build/pytest-code
	@$(PYTHON) -m pytest --junitxml=build/tests.xml $(TESTS); code=$$?; echo $$code >build/pytest-code; exit $$code

test-v2: setup ## on cgroup v2 and systemd, in a Debian guest without KVM; ARGS=path for a part
	@scripts/setup --guest
	$(PYTHON) -m tests.guest $(ARGS)

format: setup ## put the code into shape
	.venv/bin/ruff format corten tests bench $(SCRIPTS)
	.venv/bin/ruff check --fix corten tests bench $(SCRIPTS)

bench: setup ## side by side with dockerd and podman; ARGS="--quick --only exec"
	@scripts/setup --bench
	$(PYTHON) -m bench.run $(ARGS)

soak: setup ## 10,000 cycles, 1,000 containers, upgrades, 100,000 senseless requests, races by the 100,000, a death at every step, power cuts
	CORTEN_SOAK_CYCLES=10000 $(PYTHON) -m pytest --timeout=7200 tests/system/test_soak.py
	CORTEN_SOAK_RUNNING=1000 $(PYTHON) -m pytest --timeout=3600 tests/system/test_scale.py
	CORTEN_SOAK_UPGRADE_SECONDS=60 $(PYTHON) -m pytest --timeout=1800 tests/system/test_upgrade.py
	CORTEN_FUZZ_REQUESTS=$${CORTEN_FUZZ_REQUESTS:-100000} $(PYTHON) -m pytest tests/system/test_api_fuzz.py
	CORTEN_SOAK=1 $(PYTHON) -m pytest --timeout=7200 tests/attack
	@scripts/setup --guest
	CORTEN_FAULTS_ALL=1 $(PYTHON) -m pytest --timeout=7200 tests/system/test_faultpoints.py
	CORTEN_POWERCUTS="loop=20 guest=12" $(PYTHON) -m pytest --timeout=7200 tests/system/test_powercut.py

works: ## rewrite the README's tables from the last runs of test and bench
	$(PYTHON) scripts/works.py build/tests.xml README.md

clean: ## remove what the commands made here
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

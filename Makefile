# The commands of a checkout. A robot with ROS 2 installed needs none of them: see docs/robot.md.
PYTHON ?= python3
# A sourced ROS and the ROS wheels don't mix.
unexport AMENT_PREFIX_PATH
unexport CMAKE_PREFIX_PATH
unexport PYTHONPATH
unexport LD_LIBRARY_PATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
export PYTHON

.PHONY: demo test lint bench setup setup-dev freeze clean help

help: ## Show these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## Run the main job through real ROS 2: SOURCE=... for your own recording
	@.venv/bin/python -m vpr_ros.nodes.demo $(if $(SOURCE),--source '$(SOURCE)')

test: setup-dev ## Run the tests, two files at a time
	@.venv-dev/bin/python -m pytest -n 2 --dist loadfile

lint: setup-dev ## Check style, docstrings and types
	@.venv-dev/bin/ruff check .
	@.venv-dev/bin/ruff format --check .
	@.venv-dev/bin/mypy

bench: setup-dev ## Measure the hot paths against named peers
	@for name in encode search growth pipeline; do .venv-dev/bin/vpr_ros bench $$name || exit; done

setup: ## Make .venv: what a robot needs, without torch
	@requirements/make_venv.sh .venv requirements/demo.txt

setup-dev: setup ## Make .venv-dev: the same with torch, peers and tools
	@requirements/make_venv.sh .venv-dev requirements/dev.txt

freeze: ## Resolve requirements/*.in anew into exact pins
	@requirements/freeze.sh

clean: ## Remove what the other commands made
	rm -rf .venv .venv-dev .build build install log vpr_ros_demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

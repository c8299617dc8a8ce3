# MNIST CNN notebooks. `make` alone lists the commands; the first one that needs it makes .venv.

PYTHON ?= python3
# "cpu" installs the small CPU build of torch; any value of uv's --torch-backend works. Empty: the registry's default.
TORCH_BACKEND ?= $(shell cat $(VENV)/.torch-backend 2>/dev/null)
# Which notebooks ("01 04") and which parameters ("epochs=1 dataset=fashion_mnist device=cpu"); empty means all, and as written.
NOTEBOOKS ?=
PARAMS ?=
PORT ?= 8866
# Which exercise sheets ("01 04"), and where the submissions of a class are.
SHEETS ?=
SUBMISSIONS ?=
RERUN ?=
# Which mock exam, and a file with the names of those who get a paper.
SEED ?=
STUDENTS ?=
# "no": mark where nothing can shut a submission in.
SHUT_IN ?=
# How many notebooks to run at once; empty: one per core, four at most, and one where a GPU computes.
JOBS ?=
# Recipes read them from the environment, where a quote or a backslash in them means nothing to the shell.
export NOTEBOOKS PARAMS SHEETS SUBMISSIONS RERUN SEED STUDENTS JOBS

UV_VERSION = 0.13.8
VENV = .venv
RUN = $(VENV)/bin/python -m mnist_helpers
READY = $(VENV)/.ready
export PYTHONUTF8 = 1
# Lessons and tests prove with asserts.
unexport PYTHONOPTIMIZE
# What one process has compiled, the next need not: without this, as images for containers set it, torch loads half as fast.
unexport PYTHONDONTWRITEBYTECODE
# A thread that waits for others soon sleeps (mnist_helpers/startup.py says why).
export OMP_WAIT_POLICY = passive

.DEFAULT_GOAL := help
.PHONY: help setup lab run-notebooks test quick test-all test-weekly oldest lint refresh-notebooks pretrained reproduce robustness bench gpu app widget-pictures contact-sheet site links student solutions exam grade hub lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with the locked packages (TORCH_BACKEND=cpu for the small build)

# Another backend than the one installed makes the environment again.
ifneq ($(TORCH_BACKEND),$(shell cat $(VENV)/.torch-backend 2>/dev/null))
.PHONY: $(READY)
endif

# What the registry has for Linux carries CUDA, which nothing uses without a driver.
NVIDIA ?= $(wildcard /proc/driver/nvidia/version)$(shell command -v nvidia-smi)
ifeq ($(shell uname)$(TORCH_BACKEND)$(NVIDIA),Linux)
SMALLER = echo "There is no NVIDIA driver here. make setup TORCH_BACKEND=cpu takes about 1.7 GB in place of 6 GB (from PyTorch's own server)."
endif

$(READY): requirements-lock.txt pyproject.toml mnist_helpers/course/kernel.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make setup PYTHON=python3.11"; exit 1; }
	@$(SMALLER)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python $(if $(TORCH_BACKEND),--torch-backend=$(TORCH_BACKEND)) \
		--constraints requirements-lock.txt --editable '.[dev]'
	$(VENV)/bin/python -m mnist_helpers.course.kernel --install
	@echo "$(TORCH_BACKEND)" > $(VENV)/.torch-backend
	@touch $@

lab: $(READY) ## open JupyterLab on your own copies of the notebooks, in workspace/
	@$(RUN) lab

run-notebooks: $(READY) ## run all notebooks end to end (NOTEBOOKS="01 04", PARAMS="epochs=1 dataset=fashion_mnist", JOBS=1)
	@$(RUN) run-notebooks --notebooks "$$NOTEBOOKS" --params "$$PARAMS" $${JOBS:+--jobs "$$JOBS"}

TESTS = MNIST_ARTIFACTS="$(CURDIR)/build/test-artifacts" MNIST_THREADS=1 OMP_NUM_THREADS=1 \
	$(VENV)/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --no-loadscope-reorder

test: $(READY) ## unit tests, structure of the notebooks, nbval against the committed outputs
	$(TESTS) --dist=loadfile --nbval-lax -m "not slow" notebooks/*.ipynb tests

quick: $(READY) ## the core's tests and lesson 01 (PYTHON=python3.13 VENV=build/python3.13 for a second Python)
	$(TESTS) --dist=loadfile -m "not slow" tests/test_*.py tests/reading
	@$(RUN) run-notebooks --notebooks 01

# Files are begun in this order, and one that takes minutes must not be the last.
test-all: test ## and the slow ones: a whole class marked, a real browser, killed processes
	$(TESTS) --dist=loadfile -m "slow and not weekly" tests/test_wheel.py tests

test-weekly: $(READY) ## what takes minutes and seldom breaks (lessons from the wheel, on a pretended GPU), and what only measures
	$(TESTS) --dist=loadfile -m weekly tests

# What pyproject.toml allows: an environment such as Colab's must not have it replaced.
OLDEST = build/oldest
CORE_TESTS = $(filter-out $(addprefix tests/test_,cli.py distributed.py exporting.py gpu.py layout.py packaging.py \
	pretended.py startup.py systems.py wheel.py),$(wildcard tests/test_*.py)) tests/reading
oldest: $(READY) ## the core's tests and lessons 01 to 05 with the oldest versions of all that the package needs
	$(VENV)/bin/uv venv --quiet --clear --python $(VENV)/bin/python $(OLDEST)
	$(VENV)/bin/uv pip install --quiet --python $(OLDEST) $(if $(TORCH_BACKEND),--torch-backend=$(TORCH_BACKEND)) \
		--resolution lowest-direct --requirements pyproject.toml
	$(VENV)/bin/uv pip install --quiet --python $(OLDEST) nbconvert ipykernel pytest hypothesis
	$(VENV)/bin/uv pip install --quiet --python $(OLDEST) --no-deps --editable .
	$(OLDEST)/bin/python -m pytest --override-ini filterwarnings= -m "not slow" $(CORE_TESTS)
	cp -r notebooks/figures $(wildcard notebooks/0[1-5]_*.ipynb) $(OLDEST)
	MNIST_ARTIFACTS="$(CURDIR)/$(OLDEST)/artifacts" $(OLDEST)/bin/python -m nbconvert --to notebook --inplace --execute \
		$(OLDEST)/0[1-5]_*.ipynb

lint: $(READY) ## ruff over code and notebooks, and a spelling check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell

refresh-notebooks: $(READY) ## run the committed notebooks again and renew their outputs (NOTEBOOKS="03")
	@$(RUN) refresh-notebooks --notebooks "$$NOTEBOOKS"

pretrained: $(READY) ## train the shipped networks again
	@$(RUN) train --recipe walkthrough --device cpu --output pretrained/mnist/walkthrough
	@$(RUN) train --recipe handwriting --device cpu --output pretrained/mnist/handwriting
	@$(RUN) train --recipe smallest-99 --device cpu --output pretrained/mnist/smallest-99
	@$(RUN) train-numbers --device cpu --output pretrained/numbers
	@$(RUN) site --train

reproduce: $(READY) ## train all published systems and ours with three seeds, and write docs/reproduction.md
	@$(RUN) reproduce --seeds 3

robustness: $(READY) ## score the network of each recipe on spoiled test images, and write docs/robustness.md
	@$(RUN) robustness

bench: $(READY) ## time published ways to 99% and ours, and write docs/speed.md
	@$(RUN) bench

# A machine with a GPU often has a torch of its own and no network: then nothing is installed.
gpu: ## measure training on a CUDA GPU and write docs/speed-gpu.md (no network needed: PYTHON=python3 with torch)
	@$(if $(wildcard $(READY)),$(VENV)/bin/python,$(PYTHON)) -m mnist_helpers gpu

app: $(READY) ## serve the glass box and the drawing pad as web pages on this machine (PORT=8866)
	@$(RUN) app --port $(PORT)

# Lesson 03 apart: 04 and 05 are to show the network that comes with the course.
widget-pictures: $(READY) ## run the widgets in a real browser and take the pictures of them that still pages show
	export MNIST_WIDGET_PICTURES="$(CURDIR)/notebooks/figures/widgets"; for which in "not 03" 03; do \
		$(TESTS) --dist=loadfile -k "runs_from_top_to_bottom and $$which" tests/browser/test_lab.py || exit; done; \
	$(TESTS) --numprocesses=0 tests/browser/test_film_strip.py tests/browser/test_network.py \
		tests/browser/test_app.py::test_what_an_answer_costs_by_the_browser_and_by_a_kernel_is_written_down

site: $(READY) ## make the web site from the committed pages, in build/site/ (nothing is run; open build/site/index.html)
	@$(RUN) site

links: $(READY) ## follow the links of all pages to other hosts (needs a network)
	@$(RUN) site --check-links

contact-sheet: $(READY) ## draw the README's picture from the figures of the committed notebooks
	@$(RUN) contact-sheet

student: $(READY) ## make the edition for students, in build/student/ and as a zip
	@$(RUN) student

solutions: $(READY) ## run the exercise sheets with their solutions, and notes for teaching, into build/solutions/
	@$(RUN) solutions --sheets "$$SHEETS"

exam: $(READY) ## make a mock exam, with a paper for each student (SEED=7 STUDENTS=names.txt)
	@$(RUN) exam $${SEED:+--seed "$$SEED"} $${STUDENTS:+--students "$$STUDENTS"}

grade: $(READY) ## mark a class (SUBMISSIONS=folder-or-zip SHEETS="01"); marks and feedback in course/
	@test -n "$$SUBMISSIONS" || test "$$RERUN" = no || \
		{ echo "Say what to mark: make grade SUBMISSIONS=folder-or-zip"; exit 2; }
	@$(RUN) grade $${SUBMISSIONS:+"$$SUBMISSIONS"} --sheets "$$SHEETS" --rerun "$${RERUN:-changed}" \
		$(if $(filter no,$(SHUT_IN)),--not-shut-in)

hub: $(READY) ## start a JupyterHub for the course on this machine (deploy/); needs git and npm
	@$(RUN) hub --users "$${HUB_USERS:-instructor ann bob cid}" --port "$${HUB_PORT:-8000}"

lock: $(READY) ## choose the newest versions that fit together and write requirements-lock.txt
	$(VENV)/bin/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras \
		--no-header --no-annotate --no-emit-index-url pyproject.toml --output-file requirements-lock.txt

clean: ## remove what the commands made, but for artifacts/, workspace/, course/ and .venv
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	rm -f data/MNIST/raw/*-ubyte

PYTHON ?= python3
RUN = .venv/bin/python -m
PIP = $(RUN) pip install --quiet --disable-pip-version-check

# uv takes a quarter of pip's time. It doesn't read pip's settings: where they name another index,
# pip installs. Compiled now, as pip does, or each process that may write no bytecode takes seven
# seconds more to import TensorFlow.
define INSTALL
	$(PYTHON) -m venv .venv
	$(PIP) uv
	$(RUN) uv pip install --quiet --compile-bytecode -r requirements.txt $(1) || $(PIP) -r requirements.txt $(1)
endef

# Training on TensorFlow is faster with them: "Speed of training" in studies/README.md says why.
lab notebook test test-all release: export MALLOC_TOP_PAD_ = 67108864
lab notebook test test-all release: export MALLOC_MMAP_THRESHOLD_ = 1073741824

.PHONY: notebook lab test test-all lint bench release demo upgrade clean

notebook: .venv/installed ## execute main.ipynb; the copy with its outputs is runs/main/main.ipynb
	@mkdir -p runs/main
	$(RUN) papermill --log-output main.ipynb runs/main/main.ipynb

lab: .venv/installed ## open JupyterLab on the notebook
	$(RUN) jupyter lab main.ipynb

test: .venv/installed ## run the tests, but for the slow ones
	$(RUN) pytest -n 2 --dist loadfile -m "not slow"

test-all: .venv/installed ## run the slow tests: notebooks, browser, killing, and the models on JAX
	$(RUN) pytest -n 2 --dist worksteal -m slow -rs
	KERAS_BACKEND=jax $(RUN) pytest -n 2 -m "not slow" \
		tests/test_sampler.py::test_learns_to_draw_the_right_digits_and_leaves_the_predictor_alone \
		tests/test_keras_habits.py tests/test_model.py tests/test_preprocessing.py \
		tests/test_training.py tests/test_writers.py

lint: .venv/installed ## check style and format
	$(RUN) ruff check .
	$(RUN) ruff format --check .

bench: .venv/installed ## measure again what studies/results/ holds, but for strangers' pages, in three to five hours
	$(RUN) studies.speed
	$(RUN) studies.pages
	KERAS_BACKEND=jax $(RUN) studies.seeds
	KERAS_BACKEND=jax $(RUN) studies.writers
	KERAS_BACKEND=jax $(RUN) studies.plateau
	$(RUN) studies.architectures

release: .venv/installed ## train what models/ holds, execute all notebooks, write imgs/
	$(RUN) studies.release

demo: .venv/installed ## write demo.html from models/
	$(RUN) studies.demo

clean: ## remove what was installed and cached here
	rm -rf .venv .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -exec rm -rf {} +

upgrade: ## install the newest versions, and write them to constraints.txt
	rm -rf .venv
	$(call INSTALL)
	(head -1 constraints.txt; $(RUN) pip freeze --exclude-editable \
		| sed 's/$$/; python_version >= "3.11"/') > .venv/versions
	mv .venv/versions constraints.txt
	@touch .venv/installed

.venv/installed: requirements.txt pyproject.toml setup.py constraints.txt
	$(call INSTALL,-c constraints.txt)
	@touch $@

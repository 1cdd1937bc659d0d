PYTHON ?= python3
RUN = .venv/bin/python -m
# Keras redraws its progress bars thousands of times; coalescing keeps what a reader sees of them.
# When a cell ran, and for how long, would differ in every run.
EXECUTE = .venv/bin/python -c "import sys, nbformat, papermill; path = sys.argv[1]; \
	notebook = papermill.execute_notebook(path, path, cwd=sys.argv[2], coalesce_streams=True); \
	[part.metadata.pop(key, None) for part in (notebook, *notebook.cells) \
		for key in ('papermill', 'execution')]; nbformat.write(notebook, path)"

.PHONY: notebook notebooks test test-jax lint bench lab clean

notebook: .venv/installed ## execute main.ipynb, rewriting its outputs, imgs/ and models/
	$(EXECUTE) main.ipynb .
	@echo "Wrote main.ipynb, imgs/ and models/."

notebooks: notebook ## execute the deeper studies, too
	$(EXECUTE) notebooks/plateau.ipynb notebooks
	$(EXECUTE) notebooks/chains.ipynb notebooks
	$(EXECUTE) notebooks/one_hand.ipynb notebooks
	$(EXECUTE) notebooks/other_sequences.ipynb notebooks
	$(EXECUTE) notebooks/sharp.ipynb notebooks
	@echo "Wrote notebooks/, imgs/ and models/."

test: .venv/installed ## run all tests
	$(RUN) pytest

test-jax: .venv/installed ## run the tests of the models on JAX
	KERAS_BACKEND=jax $(RUN) pytest tests/test_model.py tests/test_sampler.py tests/test_train.py \
		tests/test_classifier.py tests/test_evaluation.py

lint: .venv/installed ## check style and format
	$(RUN) ruff check .
	$(RUN) ruff format --check .

bench: .venv/installed ## run the benchmarks; make bench QUICK=--quick for a short look
	$(RUN) benchmarks.drawing $(QUICK)
	$(RUN) benchmarks.building $(QUICK)
	$(RUN) benchmarks.generating $(QUICK)
	KERAS_BACKEND=jax $(RUN) benchmarks.generating $(QUICK)
	$(RUN) benchmarks.throughput $(QUICK)
	$(RUN) benchmarks.growth $(QUICK)
	KERAS_BACKEND=jax $(RUN) benchmarks.plateau $(QUICK)
	KERAS_BACKEND=jax $(RUN) benchmarks.plateau_causes $(QUICK)
	KERAS_BACKEND=jax $(RUN) benchmarks.training $(QUICK)
	KERAS_BACKEND=jax $(RUN) benchmarks.sampler $(QUICK)
	@echo "$(if $(QUICK),A short look: nothing written.,Wrote benchmarks/results/.)"

lab: .venv/installed ## open JupyterLab on the notebook
	$(RUN) jupyter lab main.ipynb

clean: ## remove what was installed and cached here
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

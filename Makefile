PYTHON ?= python3
RUN = .venv/bin/python -m
EXECUTE = $(RUN) notebooks.execute
INSTALL = $(RUN) pip install --quiet --disable-pip-version-check -r requirements.txt

# On Linux, glibc gives large arrays back to the system as soon as they are free, and the next step
# of training waits for the same memory again, page by page. So it keeps up to 1 GiB.
notebook notebooks lab: export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
notebook notebooks lab: export MALLOC_TRIM_THRESHOLD_ ?= 1073741824

.PHONY: notebook notebooks test test-jax test-browser lint bench lab upgrade clean

notebook: .venv/installed ## execute main.ipynb, rewriting its outputs, imgs/ and models/
	$(EXECUTE) main.ipynb
	@echo "Wrote main.ipynb, imgs/ and models/."

notebooks: notebook ## execute the deeper studies, too
	$(EXECUTE) notebooks/plateau.ipynb
	$(EXECUTE) notebooks/chains.ipynb
	$(EXECUTE) notebooks/one_hand.ipynb
	$(EXECUTE) notebooks/writers.ipynb
	$(EXECUTE) notebooks/architectures.ipynb
	$(EXECUTE) notebooks/other_sequences.ipynb
	$(EXECUTE) notebooks/sharp.ipynb
	$(EXECUTE) notebooks/real_or_drawn.ipynb
	$(EXECUTE) notebooks/your_hand.ipynb
	@echo "Wrote notebooks/, imgs/ and models/."

test: .venv/installed ## run all tests
	$(RUN) pytest -n 2 --dist loadfile --ignore tests/test_browser.py

test-jax: .venv/installed ## run the tests of the models on JAX
	KERAS_BACKEND=jax $(RUN) pytest tests/test_model.py tests/test_networks.py tests/test_keras.py \
		tests/test_painter.py tests/test_sampler.py tests/test_resume.py tests/test_classifier.py \
		tests/test_evaluation.py tests/test_realism.py

test-browser: .venv/installed ## draw on the pad in Chromium, and remake its screenshot
	$(RUN) pytest -rs tests/test_browser.py

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
	KERAS_BACKEND=jax $(RUN) benchmarks.architectures $(QUICK)
	$(RUN) benchmarks.handwriting $(QUICK)
	@echo "$(if $(QUICK),A short look: nothing written.,Wrote benchmarks/results/.)"

lab: .venv/installed ## open JupyterLab on the notebook
	$(RUN) jupyter lab main.ipynb

clean: ## remove what was installed and cached here
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

upgrade: ## install the newest versions, and write them to constraints.txt
	$(PYTHON) -m venv --clear .venv
	$(INSTALL)
	(head -1 constraints.txt; $(RUN) pip freeze --exclude-editable \
		| sed 's/$$/; python_version >= "3.11"/') > .venv/versions
	mv .venv/versions constraints.txt
	@touch .venv/installed

.venv/installed: requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -c constraints.txt
	@touch $@

PYTHON ?= python3
RUN = .venv/bin/python -m
# Keras redraws its progress bars with backspaces; coalescing keeps what a reader would see of them.
EXECUTE = $(RUN) papermill --no-log-output --progress-bar

.PHONY: notebook notebooks test lint bench lab clean

notebook: .venv/installed ## execute main.ipynb, rewriting its outputs, imgs/ and models/
	MPLBACKEND=module://matplotlib_inline.backend_inline $(EXECUTE) main.ipynb main.ipynb
	@echo "Wrote main.ipynb, imgs/ and models/."

test: .venv/installed ## run all tests
	$(RUN) pytest

lint: .venv/installed ## check style and format
	$(RUN) ruff check .
	$(RUN) ruff format --check .

lab: .venv/installed ## open JupyterLab on the notebook
	$(RUN) jupyter lab main.ipynb

clean: ## remove what was installed, trained and cached here
	rm -rf .venv .cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

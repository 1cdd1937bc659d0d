"""Executes a notebook from top to bottom, in its own folder, and rewrites it.

python -m notebooks.execute main.ipynb
"""

import sys
from pathlib import Path

import nbformat
import papermill

path = Path(sys.argv[1])
# Keras redraws its progress bars thousands of times; coalescing keeps what a reader sees of them.
notebook = papermill.execute_notebook(path, path, cwd=path.parent, coalesce_streams=True)
for part in (notebook, *notebook.cells):
    for times in ("papermill", "execution"):  # they differ in every run
        part.metadata.pop(times, None)
nbformat.write(notebook, path)

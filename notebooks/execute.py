"""Executes a notebook from top to bottom, in its own folder, and writes it with its outputs.

python -m notebooks.execute main.ipynb

What differs from run to run, or from machine to machine, and is no result stays out: times of
execution, the state of widgets, and what TensorFlow says when it starts.
"""

import re
import sys
from pathlib import Path

import nbformat
import papermill
from nbclient.output_widget import OutputWidget

# What `interact` shows, nbclient tells the kernel, on the socket where it waits for the end of the
# cell, and then sometimes waits for ever (jupyter/nbclient, issue 312). The kernel knows without.
OutputWidget.send = lambda self, *arguments, **keywords: None

CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|I\d{4} "  # glog's level INFO
    r"|To enable the following instructions"
    r"|E\d{4} .*failed call to cuInit"  # a machine without a GPU, which is no error
    # The traces of all models are counted as one function's.
    r"|WARNING:tensorflow:\d+ out of the last \d+ calls to .*TensorFlowTrainer\.make"
)


def without_chatter(text: str) -> str:
    """What a cell wrote, without TensorFlow's harmless messages."""
    return "".join(line for line in text.splitlines(keepends=True) if not CHATTER.match(line))


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Takes out of an executed notebook what differs in the next run and is no result."""
    notebook.metadata.pop("widgets", None)  # a slider does nothing without its kernel
    for part in (notebook, *notebook.cells):
        for times in ("papermill", "execution"):
            part.metadata.pop(times, None)
        for output in list(part.get("outputs", ())):
            if output.output_type == "stream":
                output.text = without_chatter(output.text)
            widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
            if widget or not output.get("text", "said"):
                part.outputs.remove(output)


def execute(path: Path, written: Path, parameters: dict | None = None) -> None:
    """Executes the notebook at `path`, with other parameters where given, and writes another."""
    notebook = papermill.execute_notebook(
        path,
        written,
        parameters=parameters,
        cwd=path.parent,
        # Keras redraws its progress bars thousands of times: this keeps what a reader sees of them.
        coalesce_streams=True,
    )
    tidy(notebook)
    nbformat.write(notebook, written)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[1]))

"""Imports Keras without TensorFlow's start-up chatter.

TensorFlow reports CPU features and missing GPU drivers on standard error before
any of its log settings apply; in a notebook that is a red box under the first
cell. Use `from quiet import keras` instead of `import keras`: what is known to
be harmless is dropped, every other line still appears. TensorFlow looks for its
devices here, so whoever wants other settings for them makes them before.
"""

import importlib.util
import logging
import os
import re
import sys
import tempfile

_CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|I\d{4} "  # glog's level INFO
    r"|To enable the following instructions"
    r"|E\d{4} .*failed call to cuInit"  # a machine without a GPU, which is no error
)

# TensorFlow counts the traces of all models as one function's, since Keras compiles them with the
# same code: using five models in a row is enough for a warning about none of them.
logging.getLogger("tensorflow").addFilter(
    lambda record: (
        not re.search(r"TensorFlowTrainer\.make.* triggered tf\.function", record.getMessage())
    )
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # INFO stays hidden after the start, too

with tempfile.TemporaryFile() as log:
    # The messages come from C++, so only redirecting the file descriptor catches them.
    stderr = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        import keras

        if keras.backend.backend() == "tensorflow":
            keras.ops.zeros(1)  # the first tensor makes it look for devices, and report on them
        elif importlib.util.find_spec("tensorflow"):
            import tensorflow  # noqa: F401  # Keras would, on any backend, to load or save a model
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        log.seek(0)
        for line in log.read().decode(errors="replace").splitlines():
            if not _CHATTER.match(line):
                print(line, file=sys.stderr)

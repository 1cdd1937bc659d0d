"""Imports Keras without TensorFlow's start-up chatter, and without hiding anything else.

TensorFlow reports CPU features and missing GPU drivers on standard error before
any of its log settings apply; in a notebook that is a red box under the first
cell. Import this module before Keras: what is known to be harmless is dropped,
every other line still appears.
"""

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
    lambda record: "triggered tf.function retracing" not in record.getMessage()
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # INFO stays hidden after the start, too

with tempfile.TemporaryFile() as log:
    # The messages come from C++, so only redirecting the file descriptor catches them.
    stderr = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        import keras

        keras.ops.zeros(1)  # the first tensor makes the backend look for devices
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        log.seek(0)
        for line in log.read().decode(errors="replace").splitlines():
            if not _CHATTER.match(line):
                print(line, file=sys.stderr)

"""Imprimatur's gateway: the proxy that every picture made inside a company passes."""

import os

__version__ = "0.1.0.dev0"

# Numpy reads it when it is loaded. Its matrices are small here: threads that wait for each other would double the CPU
# time of a prompt and save nothing on the clock.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

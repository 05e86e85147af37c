"""How a kind of model is driven: one module a kind, behind the ports of `port.py`."""

import os

import model_server.threads  # noqa: F401  # before any module of this package loads torch

# Read as transformers is imported: it would complain on standard error of libraries that nothing here needs.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")

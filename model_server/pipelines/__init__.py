"""How a kind of model is driven: one module a kind, behind the ports of `port.py`."""

import model_server.threads  # noqa: F401  # before any module of this package loads torch

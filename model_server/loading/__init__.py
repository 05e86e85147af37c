"""From settings to models: which file lists them, what would load, and one set in the place of another."""

import model_server.threads  # noqa: F401  # before any module of this package loads torch

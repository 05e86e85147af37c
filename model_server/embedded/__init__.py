"""The small text-to-image model inside the package: its net, its words, its weights and how it was trained."""

import model_server.threads  # noqa: F401  # before any module of this package loads torch

"""The step engine: from accepted jobs to pictures on one device. Knows nothing of HTTP or of how models are loaded."""

import model_server.threads  # noqa: F401  # before any module of this package loads torch

"""The embedded engine beside OPA's own, on the shipped rules: `python -m tests.parity` compares them at length."""

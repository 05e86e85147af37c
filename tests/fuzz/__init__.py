"""Hostile inputs for what reads strangers' bytes. `python -m tests.fuzz screening --seconds 60`, or `make fuzz`."""

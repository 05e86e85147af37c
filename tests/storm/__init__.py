"""Long fault runs: `make storm`. Short ones of the same kind are part of the suite (tests/faults/test_storm.py)."""

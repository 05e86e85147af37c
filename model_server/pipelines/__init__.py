"""How a kind of model is driven: one module a kind, behind the ports of `port.py`."""

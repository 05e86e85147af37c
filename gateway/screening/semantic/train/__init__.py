"""How the heads were made: `python -m gateway.screening.semantic.train`."""

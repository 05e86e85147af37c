"""Who may come in by which way: `table.py` the intention, `matrix.py` what it is for each role, `bed.py` trying."""

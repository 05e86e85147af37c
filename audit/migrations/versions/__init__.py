"""One file a revision, numbered: ``0001_what_it_brings.py``. The number is the revision's id."""

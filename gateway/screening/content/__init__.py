"""Subjects that policy may not want drawn: the lexicon layer."""

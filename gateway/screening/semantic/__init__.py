"""Subjects by their meaning: the third of the content layers."""

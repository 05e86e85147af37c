"""Sensitive data in text: normalise, one linear pass of all patterns, validators, decoded views, masking."""

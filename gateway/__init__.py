"""Imprimatur's gateway: the proxy that every picture made inside a company passes."""

__version__ = "0.1.0.dev0"

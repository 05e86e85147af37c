"""Relational storage: one engine, one metadata, transactions. Each domain folder owns its tables on that metadata."""

"""Relational storage: one engine, one metadata, transactions. Each domain folder owns its own tables on that metadata."""

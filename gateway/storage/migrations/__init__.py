"""Alembic scripts of the gateway's schema."""

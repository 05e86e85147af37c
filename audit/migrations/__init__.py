"""Migrations of the audit database; see ``env.py`` for the rules and ``migrate.py`` for running them."""

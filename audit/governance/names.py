"""Where governance keeps what it keeps, in a log's directory and in its key folder."""

from __future__ import annotations

from typing import Final

DATABASE_NAME: Final = "governance.sqlite"  # beside a SQLite store; see tables.py
LISTS_FOLDER: Final = "erasures"  # beside a SQLite store; see coverage.py

# In the key folder, outside every database and its backups:
KEY_NAME: Final = "governance.json"  # see keys.py
REGISTER_NAME: Final = "governance-rows"  # see ledger.py
ERASED_NAME: Final = "erased"  # see erased.py
REWRAPS_NAME: Final = "rewraps"  # see rewrap.py
HOLDS_FOLDER: Final = "holds"  # see hold_keys.py

"""One command a table: `make bench NAME=gateway`. Each prints its figures beside its peers' and writes them down."""

import gateway  # noqa: F401  # before numpy: it says how many threads that may use

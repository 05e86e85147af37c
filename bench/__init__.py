"""One command a table: `make bench NAME=gateway`. Each prints its figures beside its peers' and writes them down."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the gateway, and before numpy is loaded

"""One command a table: `make bench NAME=gateway`. Each prints its figures beside its peers' and writes them down."""

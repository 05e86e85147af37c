"""Code with one check taken away: what a good set of tests must notice. Run it with `make mutants NAME=identity`."""

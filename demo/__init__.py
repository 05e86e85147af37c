"""The one-command stack: a company in a box, for people who want to see Imprimatur work before they install it."""

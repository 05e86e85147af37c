"""`python -m tests.authz`: print the authorisation matrix."""

from tests.authz.matrix import lines

if __name__ == "__main__":
    print("\n".join(lines()))

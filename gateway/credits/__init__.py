"""Credits: a ledger that only appends and always balances. Reserve, then settle or release."""

from gateway.credits.ledger import Balance, Ledger
from gateway.credits.prices import PICTURES_PER_CREDIT, price

__all__ = ["PICTURES_PER_CREDIT", "Balance", "Ledger", "price"]

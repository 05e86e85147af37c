"""What a rule's `validate` list may name. A new kind of value is a new file here and a new line below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.screening.text.candidate import Validator
from gateway.screening.text.validators.assigned import assigned_secret, connection_string
from gateway.screening.text.validators.aws import aws_key_id, aws_secret
from gateway.screening.text.validators.bank import bank_account, bank_routing, bic
from gateway.screening.text.validators.coordinates import coordinates
from gateway.screening.text.validators.date_of_birth import date_of_birth
from gateway.screening.text.validators.email import email
from gateway.screening.text.validators.github import github
from gateway.screening.text.validators.google import google
from gateway.screening.text.validators.guard import secret
from gateway.screening.text.validators.iban import iban
from gateway.screening.text.validators.ip_address import ip_address
from gateway.screening.text.validators.jwt import jwt
from gateway.screening.text.validators.national import NATIONAL
from gateway.screening.text.validators.passport import passport, passport_zone
from gateway.screening.text.validators.payment_card import payment_card
from gateway.screening.text.validators.phone import phone
from gateway.screening.text.validators.private_key import private_key
from gateway.screening.text.validators.slack import slack
from gateway.screening.text.validators.tax import tax_number
from gateway.screening.text.validators.us_ssn import us_ssn

LOOK_AROUND: Final = frozenset({"payment_card", "phone", "us_ssn"})
"""Those that weigh the words around a value themselves."""

VALIDATORS: Final[Mapping[str, Validator]] = MappingProxyType(
    {
        "assigned_secret": assigned_secret,
        "connection_string": connection_string,
        "bank_account": bank_account,
        "bank_routing": bank_routing,
        "bic": bic,
        "coordinates": coordinates,
        "date_of_birth": date_of_birth,
        "ip_address": ip_address,
        "passport": passport,
        "passport_zone": passport_zone,
        "tax_number": tax_number,
        "aws_key_id": aws_key_id,
        "aws_secret": aws_secret,
        "email": email,
        "github": github,
        "google": google,
        "iban": iban,
        "jwt": jwt,
        "payment_card": payment_card,
        "phone": phone,
        "private_key": private_key,
        "secret": secret,
        "slack": slack,
        "us_ssn": us_ssn,
        **NATIONAL,
    }
)

"""Each validator alone: what it takes, what it refuses, and that no text upsets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn

from gateway.screening.text.candidate import Accepted, Candidate, Surroundings
from gateway.screening.text.normalise import normalise
from gateway.screening.text.validators import VALIDATORS
from gateway.screening.text.validators.github import UNCHECKED_SCORE, checksum
from gateway.screening.text.validators.guard import entropy_bits, is_stand_in


def run(name: str, value: str, *, cued: bool = False, countered: bool = False) -> list[Accepted]:
    look: Callable[[], Surroundings] = lambda: Surroundings(cued, countered)  # noqa: E731
    return list(VALIDATORS[name](Candidate(value, 0, len(value), look)))


@given(st.integers(10**11, 10**18))
def test_our_luhn_agrees_with_another_library(body: int) -> None:
    digits = f"4{body:018d}"[:16]
    found = run("payment_card", digits)
    assert bool(found) == luhn.is_valid(digits)


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("4111111111111111", "4111111111111111"),
        ("4111 1111 1111 1111", "4111111111111111"),
        ("3782 822463 10005", "378282246310005"),
        ("12 4111111111111111 34", "4111111111111111"),
        ("4588.8213.9610.8, 85", "4588821396108"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111111111111111"),
    ],
)
def test_a_card_is_found_as_people_write_it(written: str, taken: str) -> None:
    [found] = run("payment_card", written)
    assert found.canonical == taken
    assert "".join(c for c in written[found.start : found.end] if c.isdigit()) == taken


@pytest.mark.parametrize(
    "written",
    [
        "4111111111111112",  # Luhn
        "9111111111111116",  # nobody issues 91…
        "0000000000000000",
        "41 111 1111 1111 111",  # groups that no card has
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 9 9",  # one of many numbers
        "41111111111111",  # a length that Visa has not
    ],
)
def test_what_is_no_card_is_refused(written: str) -> None:
    assert run("payment_card", written) == []


def test_odd_groups_count_where_a_cue_speaks_for_a_card() -> None:
    assert run("payment_card", "41 111 1111 1111 111", cued=True)


def test_a_seed_is_no_card_but_a_grouped_card_is_no_seed() -> None:
    assert run("payment_card", "4111111111111111", countered=True) == []
    assert run("payment_card", "4111 1111 1111 1111", countered=True)


def test_an_iban_ends_where_its_country_says() -> None:
    [found] = run("iban", "DE89 3704 0044 0532 0130 00 and a cat")
    assert found.end == len("DE89 3704 0044 0532 0130 00")
    assert found.canonical == "DE89370400440532013000"


@pytest.mark.parametrize(
    "value", ["DE88370400440532013000", "QQ89370400440532013000", "DE8937040044", "GB29NWBK6016133192681X"]
)
def test_a_wrong_iban_is_refused(value: str) -> None:
    assert run("iban", value) == []


@pytest.mark.parametrize(
    "value", ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000", "123-45 6789"]
)
def test_an_ssn_that_was_never_given_is_refused_even_beside_a_cue(value: str) -> None:
    assert run("us_ssn", value, cued=True) == []


def test_nine_bare_digits_need_a_cue_to_be_an_ssn() -> None:
    assert run("us_ssn", "536904399") == []
    assert run("us_ssn", "536904399", cued=True)
    assert run("us_ssn", "536-90-4399", countered=True) == []


def test_the_published_sample_ssn_counts_only_beside_a_cue() -> None:
    assert run("us_ssn", "078-05-1120") == []
    assert run("us_ssn", "078-05-1120", cued=True)


@pytest.mark.parametrize("value", ["a@b", "a@b.c", "logo@2x.png", "@b.co", "a@.co", "a@b.123", "x" * 65 + "@corp.com"])
def test_what_is_no_address_is_refused(value: str) -> None:
    assert run("email", value) == []


def test_signs_around_an_address_stay_outside() -> None:
    [found] = run("email", "..jane@corp.com.-")
    assert (found.start, found.end, found.canonical) == (2, 15, "jane@corp.com")


@pytest.mark.parametrize(
    "value", ["2024-05-17", "17.05.2024", "1914-1918", "01 02 03 04 05", "1111111", "123456", "1" * 20]
)
def test_dates_years_and_counting_are_no_telephones(value: str) -> None:
    assert run("phone", value, cued=True) == []


def test_a_bare_number_needs_a_cue_to_be_a_telephone() -> None:
    assert run("phone", "4158675309") == []
    assert run("phone", "4158675309", cued=True)
    assert run("phone", "415-867-5309")
    assert run("phone", "415-867-5309", countered=True) == []


def test_a_github_token_with_its_checksum_is_certain() -> None:
    body = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1"
    [sure] = run("github", f"ghp_{body}{checksum(body)}")
    [unsure] = run("github", f"ghp_{body}AAAAAA")
    assert sure.score == 1.0
    assert unsure.score == UNCHECKED_SCORE


@pytest.mark.parametrize("name", ["secret", "github", "google", "slack", "aws_key_id", "aws_secret"])
@pytest.mark.parametrize(
    "value", ["AKIAXXXXXXXXXXXXXXXX", "ghp_" + "a" * 36, "xoxb-your-token-here", "AIza" + "x" * 35, "X" * 40]
)
def test_stand_ins_are_nobody_s_secret(name: str, value: str) -> None:
    assert run(name, value) == []


def test_a_hexadecimal_digest_is_no_aws_secret() -> None:
    assert run("aws_secret", "356a192b7913b04c54574d18c28d46e6395428ab") == []
    assert run("aws_secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize("head", ["eyJub3RhbGciOiJ4In0", "W10", "bm90IGpzb24", "%%%", "", "e30"])
def test_a_token_without_a_jose_header_is_no_jwt(head: str) -> None:
    assert run("jwt", f"{head}.e30.sig") == []


def test_a_private_key_reaches_to_its_foot() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- tail"
    [found] = VALIDATORS["private_key"](Candidate(text, 0, 27))
    assert text[found.end :] == " tail"


def test_entropy_is_in_bits_a_character() -> None:
    assert entropy_bits("") == 0
    assert entropy_bits("aaaa") == 0
    assert entropy_bits("abcd") == 2
    assert is_stand_in("<your token>")
    assert not is_stand_in("wJalrXUtnFEMI")


ODD = st.text(alphabet=st.characters(), max_size=80)
NUMERIC = st.text(alphabet="0123456789 .-()+/x,٣é\ud800", max_size=80)


@pytest.mark.parametrize("name", sorted(VALIDATORS))
@settings(deadline=None)  # the first number of a country loads its register
@given(value=st.one_of(ODD, NUMERIC), cued=st.booleans())
def test_no_text_upsets_a_validator_and_no_span_leaves_the_candidate(name: str, value: str, cued: bool) -> None:
    text = normalise(f"..{value}..").text
    candidate = Candidate(text, 2, len(text) - 2, lambda: Surroundings(cued))
    for found in VALIDATORS[name](candidate):
        assert 2 <= found.start <= found.end <= len(text)
        assert 0 < found.score <= 1


def test_reprs_show_no_value() -> None:
    candidate = Candidate("4111111111111111", 0, 16)
    assert "4111" not in repr(candidate) + repr(run("payment_card", "4111111111111111"))

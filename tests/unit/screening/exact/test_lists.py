"""Lists keep no value; what they keep is found in a text, and nobody changes them unseen."""

from __future__ import annotations

import csv
import hmac
import io
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.screening.exact.key import ListKey
from gateway.screening.exact.lists import ExactList, ListError, ListShelf, build, write
from gateway.screening.exact.match import Reading, find
from gateway.screening.exact.values import canonical_value
from gateway.screening.text.normalise import normalise

KEY = ListKey(bytes(range(32)))
ROWS = [
    {"name": "Jane Roe", "account": "KD-48291", "email": "jane.roe@corp-mail.com", "city": "Berlin"},
    {"name": "Müller, Jürgen", "account": "KD-48292", "email": "j.mueller@web.de", "city": "Köln"},
    {"name": "Ana Sofía García", "account": "900 17 55", "email": "", "city": "Berlin"},
    {"name": "Al", "account": "42", "email": "", "city": ""},
]
COLUMNS = ("name", "account", "email", "city")
Make = Callable[..., ExactList]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    def make(key: ListKey = KEY, columns: tuple[str, ...] = COLUMNS) -> ExactList:
        body, kept = build(key, ROWS, columns)
        write(tmp_path / "customers.edm", key, columns, body, kept.rows)
        return ListShelf(tmp_path, key).open("customers")

    return make


def spans(known: ExactList, text: str, *, require: int = 2, window: int = 100) -> list[str]:
    plain = normalise(text).text
    found = find(Reading(plain), known, require=require, window=window, spend=lambda: None)
    return [plain[start:end] for start, end, _ in found]


@pytest.mark.parametrize(
    "text",
    [
        "a letter to Jane Roe, account KD-48291",
        "KD48291 belongs to ROE, JANE",
        "kd 48 291 and jane.roe@corp-mail.com",
        "jürgen müller (KD-48292)",
        "Jurgen Muller from Cologne, no: from Köln",
        "ana sofia garcia: 9001755",
        "ｊａｎｅ ｒｏｅ in Berlin",
    ],
)
def test_two_values_of_one_row_are_found_however_they_are_written(made: Make, text: str) -> None:
    assert spans(made(), text)


@pytest.mark.parametrize(
    "text",
    [
        "a letter to Jane Roe",
        "Jane Roe and Jürgen Müller",  # two rows
        "KD-48291 of Jürgen Müller",
        "Jane, a doe by the roe river, KD 48",
        "Jane Roe " + "walks on and on " * 8 + "KD-48291",  # too far apart
        "Al has 42",
        "Jane Roe, Jane Roe, Jane Roe",
        "Berlin, Köln",
    ],
)
def test_one_value_or_values_of_two_rows_are_nothing(made: Make, text: str) -> None:
    assert spans(made(), text) == []


def test_one_value_is_enough_where_the_rule_says_so(made: Make) -> None:
    assert spans(made(), "to jane roe and KD-48292", require=1) == ["jane roe", "KD-48292"]


def test_no_value_is_in_the_file(made: Make, tmp_path: Path) -> None:
    made()
    _, _, raw = (tmp_path / "customers.edm").read_bytes().partition(b"\n")  # the first line names the columns
    for row in ROWS:
        for value in row.values():
            for piece in value.replace("@", " ").replace(".", " ").replace("-", " ").split():
                if len(piece) > 3:
                    assert piece.lower().encode() not in raw.lower()


def test_equal_values_leave_no_trace_of_how_often_they_stand_there(made: Make) -> None:
    """Berlin stands in two rows. A list that kept rows would show which tokens are common, and names are guessed so."""
    known = made()
    tokens = [*known.values._tokens]
    assert len(tokens) == len(set(tokens))
    assert tokens == sorted(tokens)
    assert [*known.pairs._tokens] == sorted(set(known.pairs._tokens))


def test_a_token_is_an_hmac() -> None:
    key = hmac.digest(bytes(range(32)), b"imprimatur screening: exact data match, version 1", "sha256")
    expected = hmac.digest(key, b"v\0jane roe", "sha256")[:8]
    assert KEY.value("jane roe") == int.from_bytes(expected, "big")
    assert KEY.word("jane roe") != KEY.value("jane roe")


def test_the_file_is_for_its_owner_and_group_only(made: Make, tmp_path: Path) -> None:
    made()
    assert not stat.S_IMODE((tmp_path / "customers.edm").stat().st_mode) & 0o007
    assert [path.name for path in tmp_path.iterdir()] == ["customers.edm"]


def test_a_list_of_another_secret_is_refused(made: Make, tmp_path: Path) -> None:
    made()
    with pytest.raises(ListError, match="another screening secret"):
        ListShelf(tmp_path, ListKey(bytes(32))).open("customers")


def test_every_changed_byte_of_the_body_is_noticed(made: Make, tmp_path: Path) -> None:
    made()
    path = tmp_path / "customers.edm"
    raw = path.read_bytes()
    body = raw.index(b"\n") + 1
    for at in range(body, len(raw), 7):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(ListError):
            ListShelf(tmp_path, KEY).open("customers")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"{}\n", b"[]\n", b"not json\n", b'{"seal": "x"}\n', b"\xff\n", b"null\n", b'{"seal":1,"format":2}\n'],
)
def test_a_file_that_is_no_list_is_refused_with_a_sentence(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "customers.edm").write_bytes(raw)
    with pytest.raises(ListError, match="import it again"):
        ListShelf(tmp_path, KEY).open("customers")


def test_a_renamed_list_is_refused(made: Make, tmp_path: Path) -> None:
    """Else the list of code names, renamed, would pass for the customers'."""
    made()
    (tmp_path / "customers.edm").rename(tmp_path / "staff.edm")
    with pytest.raises(ListError, match="of this name"):
        ListShelf(tmp_path, KEY).open("staff")


def test_a_missing_list_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="imprimatur dlp import"):
        ListShelf(tmp_path, KEY).open("customers")


def test_nothing_to_keep_is_an_error() -> None:
    with pytest.raises(ListError, match="nothing to keep"):
        build(KEY, [{"name": "Al"}, {"name": ""}], ["name"])


def test_the_same_rows_in_another_order_give_the_same_list() -> None:
    assert build(KEY, ROWS, COLUMNS)[0] == build(KEY, ROWS[::-1], COLUMNS)[0]


def test_a_text_of_nothing_but_customers_stays_cheap(made: Make) -> None:
    spent = 0

    def spend() -> None:
        nonlocal spent
        spent += 1

    text = "jane roe kd-48291 " * 2_000
    found = list(find(Reading(text), made(), require=2, window=100, spend=spend))
    assert found
    assert spent < 40 * 4_000


@settings(deadline=None)  # other work on the machine is no defect
@given(st.text(max_size=60))
def test_no_value_upsets_the_list(value: str) -> None:
    made = canonical_value(value)
    assert made is None or len(made[0]) >= 3
    text = io.StringIO()
    csv.writer(text).writerow([value])
    Reading(normalise(value).text)

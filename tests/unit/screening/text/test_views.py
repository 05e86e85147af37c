"""Hidden text is read, and what is found in it leads back to where it stands."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.screening.text.normalise import normalise
from gateway.screening.text.views import MAX_DEPTH, rewrite, to_parent, views


def readings(text: str) -> list[str]:
    return [chain[-1].text for chain in views(normalise(text))]


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("a jane&#64;corp&#x2e;com b", "a jane@corp.com b"),
        ("a &lt;b&gt;", "a <b>"),
        ("a %6a%61ne", "a jane"),
        (r"a \x6a\x61ne \u006f", "a jane o"),
        ("x amFuZUBjb3JwLmNvbQ== y", "x jane@corp.com y"),
        ("x 6a616e6540636f72702e636f6d y", "x jane@corp.com y"),
        ("x 6a 61 6e 65 40 63 6f 72 70 y", "x jane@corp y"),
        ("x four one one one two y", "x 41112 y"),
        ("x vier eins eins eins zwei y", "x 41112 y"),
        ("x cuatro uno uno uno dos y", "x 41112 y"),
        ("x quatre un un un deux y", "x 41112 y"),
        ("four double one triple two nine nine", "41122299"),
        ("forty-one twenty twelve three five", "41201235"),
        ("one two three four five, 85mm", "12345,85mm"),
        ("4*1*1*1*1*1*1*1*1", "411111111"),
        ("4Oll 1l1l 1O11", "4011 1111 1011"),
        ("jane [at] corp [dot] com", "jane@corp.com"),
        ("jane dot roe at corp dot co.uk", "jane.roe@corp.co.uk"),
        ("jane (at) corp . com", "jane@corp.com"),
        ("written backwards 4321", "1234 sdrawkcab nettirw"),
        ("einundvierzig elf elf zwölf dreiunddreißig", "4111111233"),
        ("vierzig, elf, zwölf, dreizehn, null", "40,11,12,13,0"),
        ("cuarenta y uno once veintidós quince diez", "4111221510"),
        ("quarante et un dix-sept vingt-trois onze douze", "4117231112"),
        ("dix un dix deux dix trois", "101102103"),
        ("FourOneOneOneOneOneTwo", "4111112"),
        ("j a n e @ c o r p . c o m", "jane@corp.com"),
        ("A.K.I.A.I.O.S.F.O.D.N.N", "AKIAIOSFODNN"),
        ("write to moc.proc@enaj", "jane@corp.com ot etirw"),
        ("pay 1111 1111 1111 1114", "4111 1111 1111 1111 and "),
        ("in rot13: wnar@pbec.pbz", "va ebg13: jane@corp.com"),
        ("=6A=61=6E=65=40=63", "jane@c"),
        ("01101010 01100001 01101110 01100101 01000000 01100011", "jane@c"),
        ("106 97 110 101 64 99 111 114 112 46 99 111 109", "jane@corp.com"),
        ("x NJQW4ZKAMNXXE4BOMNXW2 y", "x jane@corp.com y"),
    ],
)
def test_a_disguise_is_read(text: str, reading: str) -> None:
    assert reading in readings(text)


def test_tag_characters_are_read_as_the_ascii_they_stand_for() -> None:
    assert "hidden" in readings("a cat" + "".join(chr(0xE0000 + ord(c)) for c in "hidden"))


@pytest.mark.parametrize(
    "text",
    [
        "a cat",
        "look at painting. It is",
        "one cat and two dogs",
        "an interpretation of photorealistic landscapes",
        "50% grey",
        "rgb(255, 128, 64), then 10, 20, 30, 40, 50, 60, 70, 80, 90",
        "onelove twofold someone",
        "a b c d, an alphabet",
        "version a.b.c of moc toys",
    ],
)
def test_ordinary_text_has_no_second_reading(text: str) -> None:
    assert readings(text) == []


def test_layers_are_unwrapped_so_deep_and_no_deeper() -> None:
    text = "jane@corp.com"
    for _ in range(MAX_DEPTH + 1):
        text = base64.b64encode(text.encode()).decode()
    assert len(readings(text)) == MAX_DEPTH
    assert "jane@corp.com" not in readings(text)
    assert "jane@corp.com" in readings(base64.b64decode(text).decode())


def test_a_finding_in_a_deep_layer_points_at_the_outermost_stretch() -> None:
    inner = base64.b64encode(b"jane@corp.com").decode()
    outer = base64.b64encode(f"say {inner}".encode()).decode()
    text = f"draw {outer} now"
    chain = next(c for c in views(normalise(text)) if "jane@corp.com" in c[-1].text)
    at = chain[-1].text.index("jane")
    start, end = to_parent(chain, at, at + 4)
    assert text[start:end] == outer


def test_a_backwards_span_is_turned_round() -> None:
    text = "read backwards: 321"
    chain = next(iter(views(normalise(text))))
    at = chain[-1].text.index("123")
    start, end = to_parent(chain, at, at + 3)
    assert text[start:end] == "321"


@given(
    st.text(max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8), st.text(max_size=8)), max_size=4)
)
def test_a_rewritten_text_maps_back_to_where_it_came_from(text: str, wishes: list[tuple[int, int, str]]) -> None:
    edits, position = [], 0
    for start, size, replacement in sorted(wishes):
        if start >= position and start + size <= len(text):
            edits.append((start, start + size, replacement))
            position = start + size
    view = rewrite("test", text, edits)
    assert len(view.text) == len(view.starts) == len(view.ends) == len(view.rewritten)
    for i, character in enumerate(view.text):
        start, end = view.parent_span(i, i + 1)
        assert 0 <= start <= end <= len(text)
        if not view.is_new(i, i + 1):
            assert text[start:end] == character


@given(st.text(alphabet="0123456789abcdefOl%&#;x= .+/-@\\uone two at dot\n", max_size=120))
def test_no_text_upsets_a_view(text: str) -> None:
    for chain in views(normalise(text)):
        assert len(chain[-1].text) == len(chain[-1].starts)

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.wire.multipart import FileLimit, Form, FormError, FormLimits, read_form

BOUNDARY = "b0undary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
LIMITS = FormLimits(
    texts={"prompt": 200, "n": 10},
    files={"image": FileLimit(500), "image[]": FileLimit(500, 3), "mask": FileLimit(50)},
    max_body_bytes=4000,
    max_parts=8,
    max_header_bytes=300,
)


def part(name: str, data: bytes, filename: str | None = None, headers: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\n{headers}\r\n".encode() + data + b"\r\n"


def body(*parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> bytes:
    return b"".join(parts) + end


def read(content: bytes | Sequence[bytes], *, content_type: str = CONTENT_TYPE, limits: FormLimits = LIMITS) -> Form:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in [content] if isinstance(content, bytes) else content:
            yield chunk

    return asyncio.run(read_form(content_type, chunks(), limits))


def fault_of(content: bytes, **options: object) -> tuple[str, str | None]:
    with pytest.raises(FormError) as caught:
        read(content, **options)  # type: ignore[arg-type]
    return caught.value.kind, caught.value.field


WHOLE = body(
    part("prompt", "ein Fuchs, höflich\r\n--b0undar".encode()),
    part("image[]", b"\x89PNG\r\n\r\n--", "a.png", "Content-Type: image/png\r\n"),
    part("image[]", b"", "../../etc/passwd"),
    part("n", b"3"),
)


def test_a_form_is_read_with_its_texts_and_files() -> None:
    form = read(WHOLE)
    assert form.texts == {"prompt": "ein Fuchs, höflich\r\n--b0undar", "n": "3"}
    assert form.files == {"image[]": (b"\x89PNG\r\n\r\n--", b"")}


def test_file_names_are_not_kept() -> None:
    assert "passwd" not in repr(read(WHOLE))


@given(st.lists(st.integers(0, len(WHOLE)), max_size=40))
def test_however_a_body_is_cut_it_is_the_same_form(cuts: list[int]) -> None:
    places = sorted({0, len(WHOLE), *cuts})
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(places)]
    assert read(pieces) == read(WHOLE)


def test_byte_by_byte_it_is_the_same_form() -> None:
    assert read([bytes([byte]) for byte in WHOLE]) == read(WHOLE)


@given(
    st.dictionaries(st.sampled_from(["prompt", "n"]), st.text(max_size=10).filter(lambda t: len(t.encode()) <= 10)),
    st.lists(st.binary(max_size=200), max_size=3),
    st.lists(st.integers(0, 2000), max_size=10),
)
def test_what_was_written_is_what_is_read(texts: Mapping[str, str], files: list[bytes], cuts: list[int]) -> None:
    parts = [part(name, value.encode()) for name, value in texts.items()]
    parts += [part("image[]", data, "x") for data in files]
    if not parts or any(f"\r\n--{BOUNDARY}".encode() in b"\r\n" + data for data in files):
        return
    whole = body(*parts)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    form = read([whole[a:b] for a, b in itertools.pairwise(places)])
    assert form.texts == dict(texts)
    assert form.files.get("image[]", ()) == tuple(files)


def test_every_truncation_is_an_error() -> None:
    complete = len(WHOLE) - len(b"\r\n")  # the last line break may be left out
    assert read(WHOLE[:complete]) == read(WHOLE)
    for length in [*range(complete), len(WHOLE) - 1]:
        with pytest.raises(FormError) as caught:
            read(WHOLE[:length])
        assert caught.value.kind == "malformed"


@given(st.binary(max_size=300))
def test_garbage_is_an_error_and_nothing_worse(content: bytes) -> None:
    for prefix in (b"", f"--{BOUNDARY}\r\n".encode(), WHOLE[:40]):
        with pytest.raises(FormError):
            read(prefix + content)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
        "multipart/form-data; boundary=b0undary; boundary=other",
        "multipart/form-data; boundary=b\x00",
        'multipart/form-data; boundary="b0 undary"',
        "multipart/form-data boundary=b0undary",
        "multipart/mixed; boundary=b0undary",
        "application/x-www-form-urlencoded",
    ],
)
def test_without_a_sound_boundary_nothing_is_read(content_type: str) -> None:
    assert fault_of(WHOLE, content_type=content_type) == ("malformed", None)


def test_a_boundary_may_be_quoted() -> None:
    assert read(WHOLE, content_type=f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"') == read(WHOLE)


DISPOSITION = 'Content-Disposition: form-data; name="n"\r\n'


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"preamble\r\n" + WHOLE, ("malformed", None)),
        (b"\r\n" + WHOLE, ("malformed", None)),
        (WHOLE + b"epilogue", ("malformed", None)),
        (WHOLE + part("n", b"4"), ("malformed", None)),
        (body(part("n", b"1\r\n--b0undary more")), ("malformed", None)),
        (body(part("prompt", b"1\r\n--b0undaryX")), ("malformed", None)),
        (body(end=f"--{BOUNDARY}--\r\n".encode()), ("malformed", None)),
        (b"", ("malformed", None)),
        (body(f"--{BOUNDARY}\r\n\r\nno headers\r\n".encode()), ("malformed", None)),
        (body(f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n".encode()), ("malformed", None)),
        (body(f'--{BOUNDARY}\r\nContent-Disposition: attachment; name="n"\r\n\r\nx\r\n'.encode()), ("malformed", None)),
        (body(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name=""\r\n\r\nx\r\n'.encode()), ("malformed", None)),
        (body(part("n" * 65, b"1")), ("malformed", None)),
        (body(part("../n", b"1")), ("malformed", None)),
        (body(part('n"; name="prompt', b"1")), ("malformed", None)),
        (body(part("n", b"1", headers=DISPOSITION)), ("malformed", None)),
        (body(part("n", b"1", headers="Content-Transfer-Encoding: base64\r\n")), ("malformed", "n")),
        (body(part("n", b"1", headers="Content-Type: text/plain; charset=utf-16\r\n")), ("malformed", "n")),
        (body(part("n", b"1", headers="Content-Type: multipart/mixed; boundary=x\r\n")), ("malformed", "n")),
        (body(part("prompt", b"\xff\xfe")), ("malformed", "prompt")),
        (body(part("n", b"1"), part("n", b"2")), ("duplicate", "n")),
        (body(part("n", b"1"), part("n", b"1")), ("duplicate", "n")),
        (body(part("colour", b"1")), ("unknown", "colour")),
        (body(part("n", b"1", "n.txt")), ("wrong_kind", "n")),
        (body(part("mask", b"1")), ("wrong_kind", "mask")),
        (body(part("n", b"1" * 11)), ("too_large", "n")),
        (body(part("mask", b"1" * 51, "m")), ("too_large", "mask")),
        (body(part("image", b"1", "a"), part("image", b"2", "b")), ("too_many", "image")),
        (body(*[part("image[]", b"1", "a")] * 4), ("too_many", "image[]")),
        (body(part("n", b"1", headers="X-Long: " + "x" * 400 + "\r\n")), ("malformed", None)),
        (body(part("n", b"1", headers="X-Many: 1\r\n" * 9)), ("malformed", None)),
    ],
)
def test_what_two_readers_could_read_two_ways_or_is_too_much_is_refused(
    content: bytes, fault: tuple[str, str | None]
) -> None:
    assert fault_of(content) == fault
    pieces = [content[i : i + 7] for i in range(0, len(content), 7)]
    with pytest.raises(FormError) as caught:
        read(pieces)
    assert (caught.value.kind, caught.value.field) == fault


def test_the_whole_body_has_a_limit_and_no_more_is_read() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield part("prompt", b"")[:-2]
        while True:
            taken += 1
            yield b"x" * 10

    with pytest.raises(FormError) as caught:
        asyncio.run(read_form(CONTENT_TYPE, endless(), LIMITS))
    assert (caught.value.kind, caught.value.field) == ("too_large", "prompt")
    assert taken == 21  # 200 bytes are allowed
    many = b"".join([part("image[]", b"x" * 490, "a")] * 3 + [part("image", b"x" * 490, "a")])
    small = FormLimits(LIMITS.texts, LIMITS.files, max_body_bytes=len(many) - 1, max_parts=8)
    assert fault_of(body(many), limits=small) == ("too_large", None)


def test_a_thousand_parts_and_a_thousand_delimiters_inside_a_part_are_too_many() -> None:
    wide = FormLimits(LIMITS.texts, {"image[]": FileLimit(10**6, 10**4)}, max_body_bytes=10**7, max_parts=64)
    assert fault_of(body(*[part("image[]", b"", "a")] * 1000), limits=wide) == ("too_many", None)
    assert fault_of(body(part("image[]", b"\r\n--b0undaryX" * 1000, "a")), limits=wide) == ("too_many", None)


def test_a_fault_never_shows_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    for content in (body(part("n", b"SECRET-PROMPT")), b"SECRET" + WHOLE, body(part("prompt", b"SECRET\xff"))):
        with pytest.raises(FormError) as caught:
            read(content)
        assert "SECRET" not in repr(caught.value) + str(caught.value.__cause__)
        assert caught.value.__cause__ is None
    assert caplog.text == ""


def test_what_the_source_raises_passes_through() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield WHOLE[:50]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(read_form(CONTENT_TYPE, leaving(), LIMITS))


def test_importing_the_reader_loads_neither_torch_nor_the_server() -> None:
    code = (
        "import sys, model_server.wire.multipart; "
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'diffusers', 'fastapi', 'starlette', 'PIL')])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"

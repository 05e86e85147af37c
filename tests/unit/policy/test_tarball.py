"""Bundles as archives: the same bytes for the same rules, and nothing that an attacker packs gets out of one."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from gateway.policy.bundle import MAX_FILE_BYTES, MAX_FILES, BundleRefused, Rules, read_bundle
from gateway.policy.tarball import DATA, opa_files, pack, unpack
from gateway.policy.trial import try_out
from tests.support.policy import SHIPPED, UNHURRIED_SECONDS, copy_of_shipped

FILES = {".manifest": b'{"revision":"1","roots":["a"]}', "a/a.rego": b"package a\n", "data.json": b"{}"}


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue())


def named(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


def test_what_was_packed_is_unpacked() -> None:
    assert unpack(pack(FILES)) == FILES


def test_equal_files_give_equal_bytes_in_whatever_order_they_came() -> None:
    assert pack(FILES) == pack(dict(reversed(FILES.items())))
    assert pack(FILES) != pack({**FILES, "data.json": b"[]"})


def test_names_begin_with_a_slash_as_opa_writes_them() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(FILES)), mode="r:gz") as tar:
        assert all(member.name.startswith("/") and member.mtime == 0 == member.uid for member in tar)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/", "a//b", "./../x", "a\\b", ".."])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(BundleRefused, match="leads out"):
        unpack(archive((named(name), b"x")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind: bytes) -> None:
    with pytest.raises(BundleRefused, match="a bundle holds files only"):
        unpack(archive((named("a", kind), b"")))


def test_two_files_of_one_name_are_refused() -> None:
    """Whoever checks the first and uses the second was fooled."""
    with pytest.raises(BundleRefused, match="twice"):
        unpack(archive((named("a.rego"), b"1"), (named("/a.rego"), b"2")))


def test_one_file_may_be_so_large_and_the_data_larger() -> None:
    large = b" " * (MAX_FILE_BYTES + 1)
    with pytest.raises(BundleRefused, match="is larger than"):
        unpack(archive((named("a/a.rego"), large)))
    assert unpack(archive((named("data.json"), large))) == {DATA: large}


def test_more_files_than_a_bundle_may_have_are_refused() -> None:
    members = [(named(f"a/{number}.rego"), b"") for number in range(MAX_FILES + 1)]
    assert len(unpack(archive(*members[:-1]))) == MAX_FILES
    with pytest.raises(BundleRefused, match="more than"):
        unpack(archive(*members))


def test_what_unpacks_to_far_more_is_refused() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(BundleRefused, match="unpacks to more than"):
        unpack(bomb)


def test_what_is_too_large_as_it_comes_is_refused() -> None:
    with pytest.raises(BundleRefused, match="is larger than"):
        unpack(b"\0" * (9 << 20))


@pytest.mark.parametrize(
    "junk",
    [b"", b"junk", gzip.compress(b"junk" * 200), pack(FILES)[:-20], bytes(range(256))],
    ids=["empty", "text", "no tar", "cut off", "bytes"],
)
def test_what_is_no_archive_is_refused(junk: bytes) -> None:
    with pytest.raises(BundleRefused):
        unpack(junk)


async def test_opa_gets_the_rules_and_the_data_that_were_tried_out_and_no_tests(tmp_path: Path) -> None:
    bundle = read_bundle(copy_of_shipped(tmp_path))
    rules = await try_out(bundle, decision_seconds=UNHURRIED_SECONDS, trial_seconds=60)
    files = opa_files(rules, bundle.files[".manifest"])
    manifest = json.loads(files[".manifest"])
    assert manifest["revision"] == rules.revision
    assert manifest["roots"] == ["gateway"]
    assert json.loads(files[DATA]) == json.loads(rules.data_json)
    rego = {p.relative_to(SHIPPED).as_posix() for p in SHIPPED.rglob("*.rego") if not p.name.endswith("_test.rego")}
    assert set(files) == rego | {".manifest", DATA}


def test_a_manifest_that_is_none_is_refused() -> None:
    with pytest.raises(BundleRefused, match=r"\.manifest:1:1"):
        opa_files(Rules(revision="1", modules={}, data_json="{}"), b'{"roots": 7}')

"""Bundles that hang, crash, leak or allow: each is refused by file and line, and the old rules stay in force."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.exchange import Mfa
from gateway.policy import Policy
from gateway.policy.embedded import EmbeddedEngine
from gateway.vocabulary import Effect
from tests.support.policy import ALICE, NOW, UNHURRIED_SECONDS, Told, copy_of_shipped, image

AUTHZ = "gateway/image/authz/authz.rego"
ACCESS = "gateway/access/access.rego"
LIMITS = "gateway/config/limits/data.yaml"
TRIAL_SECONDS = 8.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Path, EmbeddedEngine, Told]]:
    """An engine over a folder that tests may spoil, if they mend it."""
    folder, told = copy_of_shipped(tmp_path_factory.mktemp("rules")), Told()
    engine = EmbeddedEngine(
        folder,
        clock=lambda: NOW,
        decision_seconds=UNHURRIED_SECONDS,
        reload_seconds=3600,
        trial_seconds=TRIAL_SECONDS,
        on_reload=told,
    )
    await engine.start()
    yield folder, engine, told
    await engine.aclose()


DEEP = "\nx := " + "[" * 50 + "1" + "]" * 50 + "\n"
CHAIN = "\n" + "\n".join(f"f{n}(x) := f{n + 1}(x)" for n in range(9_000)) + "\nf9000(x) := x\n\nmodel_known if f0(1)\n"
LOOPS = "; ".join(f"some {name}, _ in l" for name in "abcde")
FOREVER = f"\nmodel_known if {{ {LOOPS}; a + b + c + d + e < 0 }}\n"
LIST = f"\nl := [{', '.join(['1'] * 300)}]\n"

HOSTILE: list[tuple[str, str, str, str, str]] = [
    # name, file, old text ("" = put at the end), new text, what the refusal must begin with
    ("an open brace", AUTHZ, "", "\nx if {", f"{AUTHZ}:"),
    ("old syntax", AUTHZ, "", "\nx { true }\n", f"{AUTHZ}:"),
    ("open text", AUTHZ, "", "\nx := `abc", f"{AUTHZ}:"),
    ("an unsafe variable", AUTHZ, "", "\nx if { y == z }\n", f"{AUTHZ}:"),
    ("two values for one name", AUTHZ, "", "\nx := 1\n\nx := 2\n", f"{AUTHZ}:"),
    ("rules in a circle", AUTHZ, "", "\nx if y\n\ny if x\n", f"{AUTHZ}:"),
    ("a type that changes", AUTHZ, "", "\ndeny := 5\n", f"{AUTHZ}:"),
    ("an unknown function", AUTHZ, "", "\nx := nonsense(1)\n", f"{AUTHZ}:"),
    ("the network", AUTHZ, "", '\nx := http.send({"url": "http://x"})\n', f"{AUTHZ}:"),
    ("the environment", AUTHZ, "", "\nx := opa.runtime()\n", f"{AUTHZ}:"),
    ("the clock", AUTHZ, "", "\nx := time.now_ns()\n", f"{AUTHZ}:"),
    ("interpolated text", AUTHZ, "", '\nx := $"{input}"\n', f"{AUTHZ}:"),
    ("brackets that hang the parser", AUTHZ, "", DEEP, f"{AUTHZ}:"),
    ("a chain that overflows the stack", AUTHZ, "", CHAIN, f"{AUTHZ}:"),
    ("a question that never ends", AUTHZ, "model_known if is_object(model)", LIST + FOREVER, f"{AUTHZ}:"),
    ("no default", AUTHZ, "default decision :=", "fallback :=", f"{AUTHZ}:"),
    (
        "a default that allows",
        AUTHZ,
        'default decision := {\n\t"effect": "deny"',
        'default decision := {\n\t"effect": "allow"',
        f"{AUTHZ}:",
    ),
    ("another package", AUTHZ, "package gateway.image.authz", "package gateway.image.dlp", f"{AUTHZ}:8:1:"),
    ("an answer that is true", AUTHZ, "\ndecision := {", "\ndecision := true if input\n\nunused := {", f"{AUTHZ}:"),
    (
        "an obligation nobody knows",
        AUTHZ,
        'object.union({"max_n": max_images}, rewriting) if',
        'object.union({"tell_the_ciso": 1, "max_n": max_images}, rewriting) if',
        f"{AUTHZ}:",
    ),
    ("suspended accounts let in", ACCESS, "\tnot subject_active\n", "\tfalse\n", f"{AUTHZ}:"),
    ("no second factor needed", ACCESS, "\tnot mfa_shown\n", "\tfalse\n", f"{AUTHZ}:"),
    ("screening skipped", "gateway/image/screening/screening.rego", "\tnot reviewable\n", "\tfalse\n", f"{AUTHZ}:"),
    ("YAML that breaks off", LIMITS, "", "\nx: [\n", f"{LIMITS}:"),
    ("YAML that readers differ about", LIMITS, "", "\nx: no\n", f"{LIMITS}:"),
    ("a key twice", LIMITS, "", "\nretention_days: 1\n", f"{LIMITS}:"),
    ("data in a package's place", LIMITS, "", "", "gateway/lib/lib.rego:"),
    ("bytes that are no text", AUTHZ, "", "\n\udcff", f"{AUTHZ}:1:1:"),
    ("a manifest without roots", ".manifest", '["gateway"]', "[]", ".manifest:1:1:"),
    ("no list of built-ins", "capabilities.json", '"builtins"', '"bultins"', "capabilities.json:1:1:"),
    (
        "a test that doesn't parse",
        AUTHZ.replace(".rego", "_test.rego"),
        "",
        "\nx if {",
        "gateway/image/authz/authz_test",
    ),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "file", "old", "new", "begins"), HOSTILE, ids=[case[0] for case in HOSTILE])
async def test_a_hostile_or_broken_bundle_is_refused_and_the_old_rules_stay(
    running: tuple[Path, EmbeddedEngine, Told], name: str, file: str, old: str, new: str, begins: str
) -> None:
    folder, engine, told = running
    before, revision, count = (folder / file).read_bytes(), engine.revision, len(told.reloads)
    text = before.decode()
    assert old in text
    extra = folder / "gateway/lib/data.yaml"
    try:
        changed = text + new if not old else text.replace(old, new)
        (folder / file).write_bytes(changed.encode("utf-8", "surrogateescape"))
        if name == "data in a package's place":
            extra.write_text("effect_rank: {}\n")
        started = time.monotonic()
        await engine.reloader.check()
        error = engine.reloader.error
        assert error, "came into force"
        assert error.startswith(begins), error
        path, line, column = error.split(":")[:3]
        assert (folder / path).exists()
        assert line.isdigit()
        assert column.isdigit()
        assert time.monotonic() - started < TRIAL_SECONDS + 10
        assert engine.revision == revision
        assert (await Policy(engine).decide(image())).effect is Effect.ALLOW
        assert (await Policy(engine).decide(image(replace(ALICE, mfa=Mfa())))).effect is Effect.DENY
        assert [(r.ok, r.previous) for r in told.reloads[count:]] == [(False, revision)]
        health = await engine.health()
        assert (health.ready, health.error) == (True, error)
        await engine.reloader.check()
        assert len(told.reloads) == count + 1, "told twice of the same bundle"
    finally:
        (folder / file).write_bytes(before)
        extra.unlink(missing_ok=True)
        await engine.reloader.check()
    assert (engine.reloader.error, engine.revision) == ("", revision)

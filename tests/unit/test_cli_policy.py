"""`imprimatur policy` as its users call it: what it prints, and what it ends with."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.policy.tarball import SIGNATURES, pack, unpack
from gateway.settings import CONFIG_VARIABLE
from tests.support.policy import change, copy_of_shipped, replaced
from tests.unit.replay.conftest import document

PAGE = Path(__file__).parents[2] / "docs/reference/policy-input.md"


@pytest.fixture(autouse=True)
def environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config` sets a variable of the process, as a program of one command may."""
    monkeypatch.setenv(CONFIG_VARIABLE, "")
    monkeypatch.delenv(CONFIG_VARIABLE)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_of_shipped(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "imprimatur.yaml"
    bundles = {
        "signing_key_path": str(tmp_path / "keys/policy.pem"),
        "token_path": str(tmp_path / "keys/opa.token"),
        "key_id": "policy-1",
    }
    path.write_text(json.dumps({"policy": {"bundles": bundles}}))
    return path


def test_good_rules_pass_the_lint(folder: Path) -> None:
    answer = call("lint", folder, "--explained", PAGE, "--strict")
    assert (answer.exit_code, answer.stdout) == (0, "Nothing to remark.\n")


def test_a_slip_is_named_with_its_place_and_ends_with_one(folder: Path) -> None:
    change(folder, {"gateway/lib/bad.rego": "package gateway.lib\n\ndeny contains 1 if input.age > 3\n"})
    answer = call("lint", folder)
    assert answer.exit_code == 1
    assert "error: gateway/lib/bad.rego:3:20: this denial needs a value of the input" in answer.output
    assert "[fail-open]" in answer.output


def test_what_would_not_load_is_named_too_and_not_parsed_here(folder: Path) -> None:
    change(folder, {"gateway/lib/bad.rego": "package gateway.lib\n\nx := http.send({})\n"})
    answer = call("lint", folder, "--json")
    told = json.loads(answer.stdout)
    assert (answer.exit_code, told["ok"]) == (1, False)
    (remark,) = told["remarks"]
    assert (remark["check"], remark["level"]) == ("load", "error")
    assert (remark["path"], remark["line"], remark["column"]) == ("gateway/lib/bad.rego", 3, 6)


def test_warnings_fail_when_asked_to(folder: Path) -> None:
    text = "# METADATA\n# title: x\n# custom: {owner: me, control: AC-3}\npackage gateway.lib\n\n"
    text += "# METADATA\n# title: x\n# custom: {owner: me, control: AC-3}\nlonely := 1\n"
    change(folder, {"gateway/lib/extra.rego": text})
    assert call("lint", folder).exit_code == 0
    strict = call("lint", folder, "--strict")
    assert strict.exit_code == 1
    assert "nothing uses lonely" in strict.output


def test_the_rules_own_tests_run_and_are_counted(folder: Path) -> None:
    answer = call("test", folder, "--floor", "100")
    assert answer.exit_code == 0, answer.output
    assert "0 failed" in answer.output
    assert "0 below 100 %" in answer.output


def test_a_failing_test_and_a_line_that_no_test_runs_end_with_one(folder: Path) -> None:
    extra = "package gateway.lib_test\n\ntest_wrong if 1 == 2\n\ntest_half if not data.gateway.lib.half\n"
    rule = "package gateway.lib\n\nhalf if {\n\tinput.a == 1\n\tinput.b == 2\n}\n"
    change(folder, {"gateway/lib/extra_test.rego": extra, "gateway/lib/extra.rego": rule})
    answer = call("test", folder, "--floor", "100")
    assert answer.exit_code == 1
    assert "gateway/lib/extra_test.rego:3: gateway.lib_test.test_wrong failed" in answer.output
    assert "gateway/lib/extra.rego: " in answer.output
    told = json.loads(call("test", folder, "--json").stdout)
    assert not told["ok"]
    assert [t["name"] for t in told["tests"] if not t["passed"]] == ["gateway.lib_test.test_wrong"]
    assert told["coverage"]["gateway/lib/extra.rego"]["not_covered"]


def test_rules_without_tests_are_no_success(folder: Path) -> None:
    for path in folder.rglob("*_test.rego"):
        path.unlink()
    answer = call("test", folder)
    assert answer.exit_code == 1
    assert "There are no tests" in answer.output


@pytest.mark.parametrize("command", ["lint", "test"])
def test_a_folder_that_is_none_ends_with_two(command: str, tmp_path: Path) -> None:
    answer = call(command, tmp_path / "nowhere")
    assert answer.exit_code == 2
    assert "expected a folder of rules" in answer.output


def test_keys_are_made_once_and_a_bundle_is_signed_and_verified(folder: Path, config: Path, tmp_path: Path) -> None:
    made = call("keys", "-c", config)
    assert made.exit_code == 0, made.output
    private = tmp_path / "keys/policy.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600 == stat.S_IMODE((tmp_path / "keys/opa.token").stat().st_mode)
    assert "PRIVATE" not in made.output
    before = private.read_bytes()
    again = call("keys", "-c", config)
    assert private.read_bytes() == before
    public = tmp_path / "public.pem"
    public.write_text(again.stdout)
    target = tmp_path / "bundle.tar.gz"
    assert call("bundle", target, folder, "-c", config).exit_code == 0
    good = call("verify", target, "--key", f"policy-1={public}", "--max-age-days", 1)
    assert good.exit_code == 0, good.output
    assert "signed by policy-1" in good.output
    assert "revision 2026.11.1+" in good.output
    late = call("verify", target, "--key", f"policy-1={public}", "--not-before", "2199-01-01")
    assert late.exit_code == 1
    assert "a rollback" in late.output
    other = call("verify", target, "--key", f"policy-2={public}")
    assert other.exit_code == 1
    assert "id is not known here" in other.output
    files = unpack(target.read_bytes())
    files["gateway/lib/lib.rego"] += b"\n"
    target.write_bytes(pack(files))
    changed = call("verify", target, "--key", f"policy-1={public}")
    assert changed.exit_code == 1
    assert "gateway/lib/lib.rego: was changed" in changed.output
    assert SIGNATURES in files


def test_a_bundle_of_rules_that_do_not_load_is_not_written(folder: Path, config: Path, tmp_path: Path) -> None:
    assert call("keys", "-c", config).exit_code == 0
    change(folder, replaced(folder, ".manifest", '"gateway"', '""'))
    answer = call("bundle", tmp_path / "bundle.tar.gz", folder, "-c", config)
    assert answer.exit_code == 1
    assert not (tmp_path / "bundle.tar.gz").exists()


def test_without_a_key_there_is_a_word_on_what_to_do(folder: Path, tmp_path: Path) -> None:
    answer = call("bundle", tmp_path / "x.tar.gz", folder)
    assert answer.exit_code == 2
    assert "imprimatur policy keys" in answer.output
    assert call("keys").exit_code == 2


@pytest.mark.parametrize("command", ["lint", "test", "bundle", "verify", "keys"])
def test_each_command_says_what_it_is_for(command: str) -> None:
    answer = call(command, "--help")
    assert answer.exit_code == 0
    assert "Usage" in answer.stdout


class TestExplain:
    """One input decided on the author's own machine."""

    @pytest.fixture
    def given(self, tmp_path: Path) -> Path:
        path = tmp_path / "input.json"
        path.write_text(json.dumps(document()))
        return path

    def test_the_rules_that_fired_are_named_with_their_place(self, folder: Path, given: Path) -> None:
        changed = document(subject={"mfa_age_seconds": None})
        given.write_text(json.dumps(changed))
        result = call("explain", given, folder)
        assert result.exit_code == 0, result.output
        assert result.output.startswith("these rules: deny")
        assert "mfa." in result.output
        assert "gateway/access/access.rego:" in result.output

    def test_it_can_be_held_to_an_effect(self, folder: Path, given: Path) -> None:
        assert call("explain", given, folder, "--expect", "allow").exit_code == 0
        refused = call("explain", given, folder, "--expect", "deny")
        assert refused.exit_code == 1
        assert "Expected deny, decided allow." in refused.output

    def test_a_program_reads_it_as_json(self, folder: Path, given: Path) -> None:
        assert json.loads(call("explain", given, folder, "--json").output)["effect"] == "allow"

    @pytest.mark.parametrize("text", ["", "[]", "{", "7"])
    def test_what_is_no_input_ends_with_two(self, folder: Path, given: Path, text: str) -> None:
        given.write_text(text)
        result = call("explain", given, folder)
        assert result.exit_code == 2
        assert "policy-input.md" in result.output

    def test_rules_that_do_not_load_end_with_one(self, folder: Path, given: Path) -> None:
        change(folder, {"gateway/image/authz/more.rego": "package gateway.image.authz\n\nbroken if {\n"})
        result = call("explain", given, folder)
        assert result.exit_code == 1
        assert "more.rego:" in result.output

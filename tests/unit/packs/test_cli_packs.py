"""`imprimatur policy packs` and `init` as their users call them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.packs import packs
from gateway.policy.bundle import read_bundle
from tests.support.policy import SHIPPED, copy_of_shipped, replaced


def call(*arguments):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def test_packs_are_listed_with_their_options():
    answer = call("packs")
    assert answer.exit_code == 0
    assert [line for line in answer.stdout.splitlines() if not line.startswith(" ")] == [p.name for p in packs()]
    assert "  --with office-hours: " in answer.stdout
    told = json.loads(call("packs", "--json").stdout)
    assert [one["name"] for one in told["data"]] == [p.name for p in packs()]


def test_a_whole_folder_is_written_and_passes_lint_and_tests(tmp_path):
    folder = tmp_path / "rules"
    answer = call("init", folder, "--pack", "strict", "--with", "office-hours")
    assert answer.exit_code == 0, answer.output
    assert "the pack strict" in answer.stdout
    assert set(read_bundle(SHIPPED).files) < set(read_bundle(folder).files)
    assert (
        call("lint", folder, "--explained", SHIPPED.parent / "docs/reference/policy-input.md", "--strict").exit_code
        == 0
    )
    tested = call("test", folder, "--floor", "100")
    assert tested.exit_code == 0, tested.output


def test_without_a_pack_it_is_the_baseline(tmp_path):
    assert call("init", tmp_path).exit_code == 0
    assert read_bundle(tmp_path).files == read_bundle(SHIPPED).files


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    answer = call("init", tmp_path, "--pack", "trial")
    assert answer.exit_code == 2
    assert "is left as it is" in answer.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pack", "lax"), "there is no pack lax"),
        (("--pack", "trial", "--with", "office-hours"), "trial has no option office-hours"),
        (("--from", "nowhere"), "there are no rules to begin with"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_written(tmp_path, arguments, message):
    answer = call("init", tmp_path / "rules", *arguments)
    assert answer.exit_code == 2
    assert message in answer.output
    assert not (tmp_path / "rules").exists()


def test_rules_that_would_not_load_are_not_written(tmp_path):
    own = copy_of_shipped(tmp_path)
    for path, text in replaced(own, "gateway/access/access.rego", 'input.subject.status == "active"', "tru e").items():
        (own / path).write_text(text)
    answer = call("init", tmp_path / "rules", "--pack", "strict", "--from", own)
    assert answer.exit_code == 1
    assert "gateway/access/access.rego:" in answer.output
    assert not (tmp_path / "rules").exists()

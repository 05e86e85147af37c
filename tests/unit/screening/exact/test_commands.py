"""`imprimatur dlp`: a list goes in, a prompt is found, nothing of the list is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.screening.cli import make_app
from gateway.screening.facade import Screening
from gateway.vocabulary import Effect

ROOT = Path(__file__).resolve().parents[4]
SECRET = bytes(range(33, 65))
CUSTOMERS = "name,account\nJane Roe,KD-48291\nJürgen Müller,KD-48292\nAl,42\n"
PROMPT = "a letter to Jane Roe about KD-48291"
runner = CliRunner()


class Desk:
    """A folder of rules, a secret, and the commands over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rules, self.secret = folder, folder / "policies", folder / "screening.key"
        (self.rules / "dlp").mkdir(parents=True)
        for name in ("customer-list", "project-code-name"):
            shutil.copy(ROOT / "policies" / "dlp" / f"{name}.yaml", self.rules / "dlp")
        self.secret.write_bytes(SECRET)
        self.source = folder / "customers.csv"
        self.source.write_text(CUSTOMERS, "utf-8")

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> str:
        app = make_app(lambda _: (self.rules, self.rules / "lists", self.secret))
        result = runner.invoke(app, list(words), input=stdin)
        assert result.exit_code == code, result.output
        return result.output

    def screening(self) -> Screening:
        return Screening(directory=self.rules, secret=SECRET, timeout_seconds=30, reload_seconds=0)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_import_tells_counts_and_no_value(desk: Desk) -> None:
    said = desk("import", str(desk.source), "--columns", "name,account")
    assert "2 rows, 2 columns" in said
    assert "left out: 2 values" in said
    assert not any(word in said for word in ("Jane", "Roe", "48291", "ller"))


async def test_an_imported_list_is_taken_by_a_running_gateway(desk: Desk) -> None:
    screening = desk.screening()
    assert screening.health().waiting == ("customer-list", "project-code-name")
    assert await screening.screen_prompt(PROMPT) == ()
    before = screening.revision
    desk("import", str(desk.source), "--columns", "name,account")
    [finding] = await screening.screen_prompt(PROMPT)
    assert finding.type == "dlp.customer-list"
    assert finding.proposed is Effect.DENY
    assert not finding.maskable
    assert PROMPT[finding.start : finding.end] == "Jane Roe about KD-48291"
    assert screening.revision != before
    assert screening.health().waiting == ("project-code-name",)
    await screening.aclose()


async def test_a_list_that_breaks_leaves_the_old_rules_in_force(desk: Desk) -> None:
    desk("import", str(desk.source), "--columns", "name,account")
    screening = desk.screening()
    (desk.rules / "lists" / "customers.edm").write_bytes(b"nothing")
    assert [f.type for f in await screening.screen_prompt(PROMPT)] == ["dlp.customer-list"]
    assert "customers.edm" in screening.health().error
    await screening.aclose()


async def test_a_rule_that_must_have_its_list_does_not_load_without(desk: Desk) -> None:
    rule = desk.rules / "dlp" / "customer-list.yaml"
    rule.write_text(rule.read_text("utf-8").replace("if_missing: skip", "if_missing: fail"), "utf-8")
    assert "dlp/customer-list.yaml:9: there is no list customers" in desk("check", code=1)
    desk("import", str(desk.source), "--columns", "name,account")
    assert "rules load" in desk("check")


async def test_a_code_name_is_masked_and_one_value_is_enough(desk: Desk) -> None:
    (desk.folder / "names.csv").write_text("name\nProject Halcyon\n", "utf-8")
    desk("import", str(desk.folder / "names.csv"), "--columns", "name", "--list", "code-names")
    screening = desk.screening()
    [finding] = await screening.screen_prompt("a banner for project halcyon")
    assert (finding.type, finding.maskable, finding.replacement) == ("dlp.project-code-name", True, "Project Sample")
    await screening.aclose()


def test_lists_are_shown_with_what_waits(desk: Desk) -> None:
    desk("import", str(desk.source), "--columns", "name,account")
    said = desk("lists")
    assert "customers: 2 rows of name, account" in said
    assert "dlp/project-code-name.yaml" in said
    (desk.rules / "lists" / "other.edm").write_bytes(b"nothing")
    assert "other.edm" in desk("lists", code=1)


def test_a_check_says_what_is_found_and_never_the_text(desk: Desk) -> None:
    desk("import", str(desk.source), "--columns", "name,account")
    said = desk("check", "-", stdin=PROMPT)
    assert "dlp.customer-list: deny, can't be masked" in said
    assert "Jane" not in said
    assert "nothing found" in desk("check", "a cat")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--columns", "nme"), "no column nme"),
        (("--columns", ""), "--columns"),
        (("--columns", "name,name"), "different"),
        (("--columns", "name", "--list", "../x"), "--list"),
        (("--columns", "name", "--delimiter", ";;"), "--delimiter"),
    ],
)
def test_a_wrong_word_is_explained(desk: Desk, words: tuple[str, ...], says: str) -> None:
    said = desk("import", str(desk.source), *words, code=1)
    assert says in said
    assert "Jane" not in said
    assert not (desk.rules / "lists").exists()


@pytest.mark.parametrize("raw", [b"name,account\nJ\xff,1\n", b"name,account\n" + b"x" * 20_000 + b",1\n"])
def test_a_file_that_is_no_csv_is_refused_by_line(desk: Desk, raw: bytes) -> None:
    desk.source.write_bytes(raw)
    assert "line" in desk("import", str(desk.source), "--columns", "name,account", code=1)
    assert not (desk.rules / "lists").exists()


def test_a_missing_file_or_secret_says_what_to_do(desk: Desk) -> None:
    assert "No such file" in desk("import", "none.csv", "--columns", "name", code=1)
    desk.secret.write_bytes(b"short")
    assert "too short" in desk("lists", code=1)
    desk.secret.unlink()
    assert "imprimatur keys init" in desk("lists", code=1)

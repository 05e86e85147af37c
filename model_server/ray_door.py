"""What stands before Ray Serve's HTTP proxy: our token check, our limits, and our shape for every error.

Ray's proxy knows no tokens, reads bodies without bound, obeys headers that only its own parts should send, and answers
in plain text when no replica did. `middlewares` is put around it, in the proxy's own process, by the environment
variable `HOOK_VARIABLE`; it must be set on every node before Ray starts there (`model_server.ray_app` sets it for a
cluster that `serve run` starts). Imports neither torch nor Ray: a proxy is a small process.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_server.errors import NotFound, QueueFull, ServiceError, TooLarge, Unavailable
from model_server.http.auth import TokenCheck
from model_server.http.probes import PROBE_PATHS
from model_server.settings import Settings, SettingsError
from model_server.wire import REQUEST_ID_HEADER

HOOK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
HOOK = "model_server.ray_door:middlewares"

_OPEN_PATHS = PROBE_PATHS | {"/-/healthz"}
"""Need no token: probes and scrapers have none. The last one is the proxy's own; its `/-/routes` stays closed."""
_INTERNAL_HEADERS = frozenset(
    {
        b"x-request-timeout-seconds",
        b"x-request-disconnect-disabled",  # the proxy would no longer look whether the caller is there
        b"serve-multiplexed-model-id",
        b"serve_multiplexed_model_id",
        b"x-session-id",  # sends a caller to one replica, past the choice of the least busy
    }
)
"""Headers by which Ray's own parts steer the proxy. A caller's are dropped."""
_GONE = "The replica that worked on this request is gone. Ask again."
_RETRY_SECONDS = 1


def secret_of(settings: Settings) -> bytes:
    """The token secret of settings that are fit to serve behind Ray's proxy. Raises SettingsError for others: what the
    proxy would not do must not be believed in."""
    if settings.has_tls:
        raise SettingsError(
            "tls_*: Ray's proxy asks nobody for a certificate; behind Ray Serve leave these out, and let a mesh or an "
            "ingress do TLS both ways before it"
        )
    secret = settings.read_secret()
    if secret is None:
        raise SettingsError(
            "insecure_no_auth is for one process on a loopback address; behind Ray Serve set token_secret_path"
        )
    return secret


def middlewares() -> list[Middleware]:
    """Called by Ray in each proxy's process. Raises SettingsError, and the proxy does not start, without a secret."""
    settings = Settings()
    check = TokenCheck(secret_of(settings), lambda: datetime.now(UTC))
    return [
        Middleware(
            Door, check=check, max_body_bytes=settings.max_body_bytes, max_upload_bytes=settings.max_upload_bytes
        )
    ]


class Door:
    """Lets in who may call, cuts off what is too long, and rewrites what the proxy says in its own words."""

    def __init__(self, app: ASGIApp, *, check: TokenCheck, max_body_bytes: int, max_upload_bytes: int) -> None:
        """`max_upload_bytes` is for forms, which may hold pictures."""
        self._app = app
        self._check = check
        self._max_body_bytes = max_body_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the proxy has no lifespan, and there are no web sockets here
            return
        if scope["path"] not in _OPEN_PATHS:
            try:
                values = [value for name, value in scope["headers"] if name == b"authorization"]
                self._check.require(values[0].decode("latin-1") if len(values) == 1 else None)
            except ServiceError as error:
                await _respond(error, scope, receive, send)
                return
        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() not in _INTERNAL_HEADERS]}
        kind = Headers(raw=scope["headers"]).get("content-type", "")
        is_form = kind.partition(";")[0].strip().lower() == "multipart/form-data"
        limit = self._max_upload_bytes if is_form else self._max_body_bytes
        body = _Body(receive, limit)
        answer = _Answer(send)
        await self._app(scope, body.receive, answer.send)
        if answer.ours_instead is not None:
            await _respond(answer.ours_instead, scope, receive, send)
        elif not answer.has_started and not body.caller_is_gone:
            too_long = TooLarge(f"The body is longer than {limit} bytes.")
            await _respond(too_long if body.is_too_long else _gone(), scope, receive, send)
        elif answer.is_broken_stream:
            data = _gone().envelope.model_dump_json()
            await send({"type": "http.response.body", "body": f"event: error\ndata: {data}\n\n".encode()})


class _Body:
    """Counts what comes in. After too much of it the proxy is told that the caller has hung up."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.is_too_long = False
        self.caller_is_gone = False

    async def receive(self) -> Message:
        if self.is_too_long:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.caller_is_gone = True
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.is_too_long = True
            return {"type": "http.disconnect"}
        return message


class _Answer:
    """Passes a replica's answer through and holds back the proxy's own errors, which are plain text."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_stream = False
        self._has_ended = False
        self.has_started = False
        self.ours_instead: ServiceError | None = None

    @property
    def is_broken_stream(self) -> bool:
        """Whether events have begun and never come to their end: the replica died meanwhile."""
        return self._is_stream and not self._has_ended

    async def send(self, message: Message) -> None:
        if self.ours_instead is not None:
            return
        if message["type"] == "http.response.start":
            self.has_started = True
            headers = Headers(raw=message["headers"])
            kind = headers.get("content-type", "").partition(";")[0]
            self._is_stream = kind == "text/event-stream"
            if message["status"] == 401:
                # The door let this token in, and the replica did not: it waited for its replica for too long, or is
                # older than the replica, which can't know what was used up before. The caller's next token will do.
                self.ours_instead = Unavailable("It took too long to find a replica.", retry_after_seconds=1)
                return
            if message["status"] >= 400 and kind != "application/json":
                self.ours_instead = _in_our_words(message["status"], headers.get("retry-after"))
                return
            message = {**message, "headers": _id_once(message["headers"])}
        elif message["type"] == "http.response.body":
            self._has_ended = not message.get("more_body", False)
        await self._send(message)


def _in_our_words(status: int, retry_after: str | None) -> ServiceError:
    seconds = int(retry_after) if retry_after is not None and retry_after.isdecimal() else _RETRY_SECONDS
    if status == 404:
        return NotFound("There is nothing at this address.")
    if status == 429:
        return QueueFull("Too many requests are waiting.", retry_after_seconds=seconds)
    return Unavailable("No replica of the model can answer now.", retry_after_seconds=seconds)


def _gone() -> ServiceError:
    return Unavailable(_GONE, retry_after_seconds=_RETRY_SECONDS)


def _id_once(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The proxy adds the request's id to answers that have it already."""
    kept: list[tuple[bytes, bytes]] = []
    has_id = False
    for name, value in headers:
        is_id = name.lower() == REQUEST_ID_HEADER.encode()
        if not (is_id and has_id):
            kept.append((name, value))
        has_id = has_id or is_id
    return kept


async def _respond(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(error.envelope.model_dump(), error.status, headers=error.headers)(scope, receive, send)

"""What goes wrong, as callers see it.

    ServiceError              status, type, code, param; a sentence that says what to do and never what was sent
    ├── InvalidRequest   400  the request can't be met as it stands; the same one will fail again
    ├── Unauthorized     401  no token, or one that is not right; never says which part was wrong
    ├── NotFound         404  no such model, request or address
    ├── NotAllowed       405  the address knows other methods
    ├── RequestTimeout   408  the body stopped coming
    ├── Conflict         409  a request of that id is still in work
    ├── RequestCancelled 409  someone cancelled it by its id while its caller was waiting
    ├── TooLarge         413
    ├── WrongMedia       415
    ├── QueueFull        429  Retry-After says when a place is expected
    ├── Internal         500  our fault; the cause is in our log, by event name
    ├── Unavailable      503  starting, draining before the end, or out of memory; Retry-After
    └── DeadlineExceeded 504  not done in the time that the caller gave it

    ModelRefused              raised while loading: the model's files are not what they must be; the server won't start

Messages are made here, of constants and of limits; nothing a caller wrote goes into one.
"""

from __future__ import annotations

from model_server.wire import ErrorBody, ErrorEnvelope


class ModelRefused(Exception):
    """The model must not be loaded. The message names the file and what was wrong with it."""


class ServiceError(Exception):
    """A failure with its place in the HTTP answer."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after_seconds = retry_after_seconds

    @property
    def envelope(self) -> ErrorEnvelope:
        """The body of the answer."""
        return ErrorEnvelope(error=ErrorBody(message=self.message, type=self.type, param=self.param, code=self.code))

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to this failure."""
        return {} if self.retry_after_seconds is None else {"retry-after": str(self.retry_after_seconds)}


class InvalidRequest(ServiceError):
    status, type, code = 400, "invalid_request_error", "invalid_value"


class Unauthorized(ServiceError):
    status, type, code = 401, "invalid_request_error", "invalid_api_key"

    def __init__(self) -> None:
        super().__init__("A valid service token is required in the Authorization header.")

    @property
    def headers(self) -> dict[str, str]:
        return {"www-authenticate": 'Bearer realm="model-server"'}


class NotFound(ServiceError):
    status, type, code = 404, "invalid_request_error", "not_found"


class NotAllowed(ServiceError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class RequestTimeout(ServiceError):
    status, type, code = 408, "invalid_request_error", "request_timeout"

    def __init__(self) -> None:
        super().__init__("The body stopped coming. Send it again, all of it and faster.")

    @property
    def headers(self) -> dict[str, str]:
        return {"connection": "close"}  # what is left of the body would be taken for the next request


class Conflict(ServiceError):
    status, type, code = 409, "invalid_request_error", "duplicate_request_id"

    @property
    def headers(self) -> dict[str, str]:
        # OpenAI's SDK repeats any 409 twice unless told not to.
        return {"x-should-retry": "false"}


class RequestCancelled(Conflict):
    code = "request_cancelled"

    def __init__(self) -> None:
        super().__init__("The request was cancelled.")


class TooLarge(ServiceError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class WrongMedia(ServiceError):
    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class QueueFull(ServiceError):
    status, type, code = 429, "rate_limit_error", "queue_full"


class Internal(ServiceError):
    def __init__(self) -> None:
        super().__init__("The picture could not be made. Try again; if it happens again, tell the operator.")


class Unavailable(ServiceError):
    status, type, code = 503, "server_error", "model_unavailable"


class DeadlineExceeded(ServiceError):
    status, type, code = 504, "server_error", "deadline_exceeded"

    def __init__(self) -> None:
        super().__init__("The pictures could not be made in the time given. Give more time, or ask for fewer steps.")

    @property
    def headers(self) -> dict[str, str]:
        # A client that gave up on purpose should not be repeated by its SDK.
        return {"x-should-retry": "false"}

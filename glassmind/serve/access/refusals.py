"""Error responses: one sentence, in the form that OpenAI's clients read.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "n", "code": null}}

A ``Refusal`` is an exception that becomes such a response. An internal error is a 500 without
details; the details are logged on the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response


class Refusal(Exception):
    """A request that is refused with ``status`` and one sentence.

    ``param`` names the field at fault. ``retry_after`` is in seconds, for 429 and 503.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, object]:
        """The JSON that is sent."""
        error = {"message": self.message, "type": _TYPES.get(self.status, "invalid_request_error")}
        return {"error": {**error, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The response."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return AsciiJSON(self.body, self.status, headers)


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


class AsciiJSON(Response):
    """JSON in ASCII: a client's text may have half a surrogate pair, which UTF-8 cannot encode."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def invalid_fields(errors: Sequence[Mapping[str, Any]]) -> Refusal:
    """The refusal for a failed validation: the most useful error, without the client's value.

    If a field may have several types, each of them reports an error. The most useful error is about
    a value rather than its type, and is nested most deeply.
    """
    field = tuple(errors[0]["loc"])[:2]
    of_field = [error for error in errors if tuple(error["loc"])[:2] == field]
    error = max(of_field, key=lambda e: (not e["type"].endswith("_type"), len(e["loc"])))
    if error["type"] == "json_invalid":
        return Refusal(400, "the body is not valid JSON")
    place = [str(part) for part in error["loc"] if part != "body" and not _is_type_name(part)]
    if not place:
        return Refusal(400, "the body must be a JSON object, sent as application/json")
    where = ".".join(place)[:200]
    message = str(error["msg"]).removeprefix("Value error, ")[:300]
    return Refusal(400, f"{where}: {message[:1].lower()}{message[1:]}", param=where)


def _is_type_name(part: object) -> bool:
    """Whether a part of an error's location names one of several types, not a field."""
    return isinstance(part, str) and (
        part in ("str", "int", "float", "bool") or "[" in part or "-" in part or part[:1].isupper()
    )

"""JSON over HTTP with a server that may be slow, busy, broken or hostile.

Every answer is bounded in size and in time. Redirects are not followed, since they would carry the
API key elsewhere. Failures that may be temporary (429, 5xx, a broken connection) are retried, after
a pause that doubles each time or that the server asks for.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glassmind.errors import UserError

MOST_BYTES = 64 << 20  # of one answer
MOST_ERROR_BYTES = 64 << 10
MOST_LINE_BYTES = 4 << 20  # of one event of a stream
LONGEST_PAUSE = 60.0  # seconds between two tries
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

Json = Mapping[str, Any]


class Refused(Exception):
    """The server refused the request: a status of 4xx, and the reason in one line."""

    def __init__(self, status: int, reason: str, code: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.code = status, reason, code


class _Passing(Exception):
    """A failure that may be temporary; ``pause`` is how long the server asks to wait."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class JsonClient:
    """Asks the server at ``base`` (like ``http://127.0.0.1:8000/v1``).

    There are at most ``tries`` tries of at most ``timeout`` seconds each; the first pause between
    two tries takes ``pause`` seconds. ``key`` is sent as a bearer token.
    """

    base: str
    key: str = ""
    timeout: float = 600.0
    tries: int = 5
    pause: float = 0.5

    def ask(self, path: str, body: Json | None = None) -> Json:
        """The JSON object with which ``path`` answers a GET, or a POST of ``body``.

        Raises:
            Refused: the server answers 4xx.
            UserError: the server cannot be reached, fails every time, takes too long, or answers
                with something other than a JSON object of bounded size.
        """
        for number in range(self.tries):
            try:
                return self._once(path, body)
            except _Passing as failure:
                if number == self.tries - 1:
                    times = "" if self.tries == 1 else f" ({self.tries} tries)"
                    raise UserError(f"{self.base} {failure}{times}") from None
                # A random part keeps many clients from retrying at the same moment.
                pause = self.pause * 2**number * random.uniform(1, 1.5)
                time.sleep(min(max(pause, failure.pause), LONGEST_PAUSE))
        raise ValueError(f"tries must be at least 1, not {self.tries}")

    def events(self, path: str, body: Json) -> Generator[Json, None, None]:
        """The JSON objects of a streamed answer (server-sent events) to a POST of ``body``, each as
        it arrives. A server that does not stream gives one object. Closing the iterator closes the
        connection. There is only one try, since text that has been shown cannot be taken back.

        Raises:
            Refused, UserError: as in ``ask``.
        """
        deadline = time.monotonic() + self.timeout
        try:
            with self._opened(path, body, deadline, "text/event-stream") as response:
                if response.headers.get_content_type() != "text/event-stream":
                    yield self._object(_bounded(response, MOST_BYTES, deadline))
                    return
                for data in _event_data(response, deadline):
                    if data == b"[DONE]":
                        return
                    yield self._object(data)
        except _Passing as failure:
            raise UserError(f"{self.base} {failure}") from None

    def _once(self, path: str, body: Json | None) -> Json:
        deadline = time.monotonic() + self.timeout
        with self._opened(path, body, deadline, "application/json") as response:
            content = _bounded(response, MOST_BYTES, deadline)
        return self._object(content)

    @contextlib.contextmanager
    def _opened(
        self, path: str, body: Json | None, deadline: float, accept: str
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, open for reading. Failures within the block are raised as
        ``_Passing``, ``Refused`` or ``UserError``."""
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/{path}", data, headers)
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(request, timeout=self.timeout) as response:
                yield response
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error, deadline) from None
        except TimeoutError:
            raise _Passing(f"gave no answer within {self.timeout:g} s") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _Passing(f"gave no answer within {self.timeout:g} s") from None
            raise _Passing(f"cannot be reached: {_one_line(str(error.reason))}") from None
        except (OSError, http.client.HTTPException) as error:
            named = _one_line(str(error)) or type(error).__name__
            raise _Passing(f"broke the connection: {named}") from None

    def _object(self, content: bytes) -> Json:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise _Passing("answers with something that is not JSON") from None
        if not isinstance(answer, dict):
            raise UserError(f"{self.base} answers with JSON that is not an object")
        return answer

    def _refusal(self, error: urllib.error.HTTPError, deadline: float) -> Exception:
        try:
            content = _bounded(error, MOST_ERROR_BYTES, deadline)
        except (OSError, http.client.HTTPException, UserError, _Passing):
            content = b""
        reason, code = _reason(content)
        reason = reason or _one_line(str(error.reason))
        if error.code in _AGAIN:
            asked = error.headers.get("Retry-After", "")
            pause = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0.0
            return _Passing(f"answers {error.code}: {reason}", pause)
        if 300 <= error.code < 400:
            return UserError(
                f"{self.base} answers {error.code}, a redirect, which is not followed: give the "
                "address that it points to"
            )
        return Refused(error.code, reason, code)


def _bounded(response: Any, most: int, deadline: float) -> bytes:
    """The whole body, if it arrives in time and is no longer than ``most`` bytes."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(1 << 16):
        size += len(part)
        if size > most:
            raise UserError(f"{response.url} answers with more than {most >> 20} MB")
        if time.monotonic() > deadline:
            raise TimeoutError
        parts.append(part)
    left = response.length  # bytes of Content-Length that did not arrive
    if left:
        raise _Passing(f"broke off its answer {left} bytes before the end")
    return b"".join(parts)


def _event_data(response: http.client.HTTPResponse, deadline: float) -> Iterator[bytes]:
    """The data of server-sent events, one per line, as every server of this API sends them."""
    size = 0
    while line := response.readline(MOST_LINE_BYTES + 1):
        size += len(line)
        if len(line) > MOST_LINE_BYTES or size > MOST_BYTES:
            raise UserError(f"{response.url} streams more than the limit for one answer")
        if time.monotonic() > deadline:
            raise TimeoutError
        name, _, data = line.strip().partition(b":")
        if name == b"data":
            yield data.strip()


def _reason(content: bytes) -> tuple[str, str]:
    """The message of an error body in one line, and its code, from any of the usual forms."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return "", ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        said = error.get("message", error.get("detail", ""))
        return _one_line(str(said)), str(error.get("code") or error.get("type") or "")[:80]
    return _one_line(str(error)), ""


def _one_line(text: str) -> str:
    """Untrusted text as part of a sentence: printable, short, without a full stop."""
    shown = "".join(c if c.isprintable() else " " for c in text[:1000])
    return " ".join(shown.split())[:300].rstrip(".")

"""A stand-in for the Hugging Face Hub and for the store of large files behind it.

It speaks as much of the protocol as ``huggingface_hub`` 2 uses to list and download a repository
(one test lets that library download from it), and it fails on demand: a ``Fault`` is waiting for
the next GET of a file's bytes and is used up by it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".gguf", ".bin", ".model")  # kept in the store


@dataclass
class Fault:
    """What goes wrong with one download: cut after so many bytes, a status, a pause, bad bytes."""

    cut: int | None = None
    status: int | None = None
    silence: float = 0.0
    spoil: bool = False
    no_range: bool = False


@dataclass
class Request:
    """One request as it came in."""

    method: str
    host: str
    path: str
    headers: dict[str, str]


@dataclass
class Repository:
    """Files by path, and who may see them: ``everyone``, ``gated`` or ``nobody``."""

    files: dict[str, bytes]
    open_to: str = "everyone"


@dataclass
class Hub:
    """Two servers on this machine, and what they were asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # by file name
    requests: list[Request] = field(default_factory=list)
    listing: bytes | None = None  # instead of the true one
    listing_status: int = 200
    redirect: str = ""  # where every request to the hub is sent

    def __enter__(self) -> Hub:
        self._hub, self._store = self._server(_HubHandler), self._server(_StoreHandler)
        self.endpoint = f"http://127.0.0.1:{self._hub.server_port}"
        # Another name for the same machine: to a client it is another origin.
        self.store = f"http://localhost:{self._store.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._hub, self._store):
            server.shutdown()
            server.server_close()

    def _server(self, handler: type[_Handler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"hub": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def downloads(self, name: str) -> list[Request]:
        """The GETs for the bytes of a file, redirects apart."""
        return [
            request
            for request in self.requests
            if request.method == "GET"
            and request.path.endswith("/" + name)
            and not (request.host == "hub" and name.endswith(LARGE))
        ]


def git_id(data: bytes) -> str:
    """Git's name for a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    host = ""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, self.host, self.path, headers))
        try:
            self.answer(unquote(urlsplit(self.path).path))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, name: str, data: bytes, **headers: str) -> None:
        """The bytes of a file, or of the range asked for, with the fault that is waiting."""
        waiting = self.hub.faults.get(name, []) if self.command == "GET" else []
        fault = waiting.pop(0) if waiting else Fault()
        if fault.status:
            self.say(fault.status)
            return
        start, status = 0, 200
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and not fault.no_range:
            start, status = int(wanted[6:].rstrip("-")), 206
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if fault.spoil:
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault.cut is not None or fault.silence:
            self.say(status, body[: fault.cut], Content_Length=str(len(body)), **headers)
            self.wfile.flush()
            time.sleep(fault.silence)
            self.close_connection = True
            return
        self.say(status, body, **headers)


class _HubHandler(_Handler):
    host = "hub"

    def answer(self, path: str) -> None:
        if self.hub.redirect:
            self.say(302, Location=self.hub.redirect + path)
            return
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._list(name, revision or "main")
            return
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        if self._refused(name, revision):
            return
        data = self.hub.repositories[name].files.get(file)
        if data is None:
            self.say(404, X_Error_Code="EntryNotFound")
            return
        if file.endswith(LARGE):
            self.say(
                302,
                Location=f"{self.hub.store}/{name}/{file}",
                X_Repo_Commit=COMMIT,
                X_Linked_Etag=f'"{sha256(data)}"',
                X_Linked_Size=str(len(data)),
            )
        else:
            self.send_file(file, data, X_Repo_Commit=COMMIT, ETag=f'"{git_id(data)}"')

    def _refused(self, name: str, revision: str) -> bool:
        repository = self.hub.repositories.get(name)
        if repository is None or repository.open_to == "nobody":
            self.say(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        elif repository.open_to == "gated":
            self.say(401, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        elif revision not in ("main", COMMIT):
            self.say(404, X_Error_Code="RevisionNotFound")
        else:
            return False
        return True

    def _list(self, name: str, revision: str) -> None:
        if self.hub.listing_status != 200:
            self.say(self.hub.listing_status)
            return
        if self.hub.listing is not None:
            self.say(200, self.hub.listing, Content_Type="text/html")
            return
        if self._refused(name, revision):
            return
        siblings: list[dict[str, Any]] = []
        for path, data in self.hub.repositories[name].files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_id(data)}
            if path.endswith(LARGE):
                entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        body = {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
        self.say(200, json.dumps(body).encode(), Content_Type="application/json")


class _StoreHandler(_Handler):
    host = "store"

    def answer(self, path: str) -> None:
        if path.startswith("/api/"):
            self.say(404, X_Error_Code="RepoNotFound")
            return
        org, name, file = path.removeprefix("/").split("/", 2)
        self.send_file(file, self.hub.repositories[f"{org}/{name}"].files[file])

"""Serve a model over HTTP, with the API of OpenAI's clients and a chat page.

    glassmind serve smollm2
    glassmind serve runs/demo --port 8080
    glassmind serve smollm2 --host 0.0.0.0 --keys keys.txt --per-minute 60

Then open the address in a browser, or point a client at it:

    OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")

API keys come from a file, one per line, or from the environment variable GLASSMIND_API_KEYS.
Without keys every client that reaches the port is served, so by default the server listens on this
machine only. On SIGTERM or Ctrl-C it finishes the running answers and ends.
"""

from __future__ import annotations

import argparse
from ipaddress import ip_network
from pathlib import Path

from glassmind.cli.chosen_model import add_model_arguments, load_chosen
from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument(
        "--name", default="", help="what clients call the model (its file's name, without .gguf)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 chooses a free port (8000)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name to accept, besides --host and localhost; repeatable, * accepts any",
    )
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="a file of API keys, one per line"
    )
    parser.add_argument(
        "--per-minute",
        type=int,
        default=0,
        metavar="N",
        help="requests per minute and client (no limit)",
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=0,
        metavar="N",
        help="concurrent requests per client (no limit)",
    )
    parser.add_argument(
        "--queue",
        type=int,
        default=1024,
        metavar="N",
        help="samples running or waiting at once (1024)",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=1024,
        metavar="N",
        help="default length of an answer (1024)",
    )
    parser.add_argument(
        "--request-seconds", type=float, default=600, metavar="S", help="time of a request (600)"
    )
    parser.add_argument(
        "--body-bytes", type=int, default=4 << 20, metavar="N", help="size of a request (4194304)"
    )
    parser.add_argument(
        "--memory-mb", type=int, default=512, metavar="N", help="memory of bodies and answers (512)"
    )
    parser.add_argument(
        "--connections", type=int, default=1000, metavar="N", help="open connections (1000)"
    )
    parser.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a reverse proxy whose X-Forwarded-For names the client; repeatable",
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=30,
        metavar="S",
        help="time for running answers when the server is stopped (30)",
    )
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="a web site whose pages may send requests (CORS); repeatable",
    )
    parser.add_argument(
        "--rows", type=int, default=256, metavar="N", help="samples computed at once (256)"
    )
    parser.add_argument(
        "--cache-mb", type=int, default=1024, metavar="N", help="memory of the KV cache (1024)"
    )


def run(args: argparse.Namespace) -> int:
    _check(args)
    require_server()
    from glassmind.cli.console import console
    from glassmind.serve.access.gate import Limits
    from glassmind.serve.access.hosts import Hosts, is_loopback
    from glassmind.serve.access.keys import read_keys
    from glassmind.serve.app import create_app
    from glassmind.serve.running import bound_socket, serve

    screen = console()
    hosts, keys = Hosts(args.host, args.allow_host), read_keys(args.keys)
    listening = bound_socket(
        args.host, args.port
    )  # before the model, so that a port in use is reported at once
    port = listening.getsockname()[1]
    try:
        served, engine = load_chosen(
            args,
            name=args.name or client_name(args.model or ""),
            max_rows=args.rows,
            cache_mb=args.cache_mb,
        )
        limits = Limits(
            body_bytes=args.body_bytes,
            memory_bytes=args.memory_mb << 20,
            request_seconds=args.request_seconds,
            sequences=args.queue,
            max_tokens=args.max_tokens,
            per_minute=args.per_minute,
            at_once=args.at_once,
        )
        app = create_app(served, engine, hosts=hosts, keys=keys, limits=limits, origins=args.origin)

        def say_started() -> None:
            host = f"[{args.host}]" if ":" in args.host else args.host
            screen.print(f"{served.name} answers at http://{host}:{port} (Ctrl-C ends it)")
            if not is_loopback(args.host) and not keys:
                screen.print(
                    "warning: other machines can reach this server without an API key (--keys)",
                    style="yellow",
                )

        serve(
            app,
            listening,
            drain_seconds=args.drain_seconds,
            started=say_started,
            connections=args.connections,
            proxies=args.proxy,
        )
    finally:
        listening.close()
    return 0


def client_name(model: str) -> str:
    """The name that clients use for the model that ``model`` names on the command line: smollm2
    for ``smollm2``, ``models/smollm2.gguf`` and, in a folder smollm2, ``.``; empty if ``model``
    is."""
    if not model:
        return ""
    path = Path(model.removeprefix("hub:"))
    name = path.name if path.name not in ("", "..") else path.resolve().name
    return name.removesuffix(".gguf").removesuffix(".bin") or name


def _check(args: argparse.Namespace) -> None:
    if not 0 <= args.port <= 65535:
        raise UserError(f"--port must be from 0 to 65535, not {args.port}")
    for option, least in (("per_minute", 0), ("at_once", 0), ("queue", 1), ("max_tokens", 1),
                          ("body_bytes", 1024), ("rows", 1), ("cache_mb", 1), ("memory_mb", 1),
                          ("connections", 1)):  # fmt: skip
        if getattr(args, option) < least:
            name = option.replace("_", "-")
            raise UserError(f"--{name} must be at least {least}, not {getattr(args, option)}")
    for option in ("request_seconds", "drain_seconds"):
        if not 0 < getattr(args, option) < 1e9:
            name = option.replace("_", "-")
            raise UserError(f"--{name} must be above 0, not {getattr(args, option)}")
    for proxy in args.proxy:
        if not _is_address(proxy):
            raise UserError(f"--proxy must be an IP address or a network, not {proxy!r}")
    for origin in args.origin:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise UserError(
                f"--origin must be like https://example.org, without a path, not {origin!r}"
            )


def _is_address(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def require_server() -> None:
    """Raise ``UserError`` if the packages of the extra ``serve`` are missing."""
    from importlib.util import find_spec

    missing = [n for n in ("fastapi", "uvicorn", "prometheus_client") if find_spec(n) is None]
    if missing:
        raise UserError(
            f"serving needs {' and '.join(missing)}, which is not installed here: "
            "pip install 'glassmind[serve]'"
        )

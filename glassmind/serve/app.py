"""The server as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from glassmind import __version__
from glassmind.errors import UserError
from glassmind.generate import Engine
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.gate import Gate, Limits
from glassmind.serve.access.hosts import Hosts
from glassmind.serve.access.keys import Keys
from glassmind.serve.access.refusals import AsciiJSON, Refusal, invalid_fields
from glassmind.serve.endpoints import chat, completions, reasoning, texts
from glassmind.serve.endpoints.service import Service
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas import responses as response_schema
from glassmind.serve.work.compiling import Compiler
from glassmind.serve.work.engine_thread import EngineThread
from glassmind.serve.work.metrics import Metrics

STATIC = Path(__file__).with_name("static")
# The page needs nothing from other sites, so it may not load anything from them.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    served: LocalLLM,
    engine: Engine,
    *,
    hosts: Hosts | None = None,
    keys: Keys | None = None,
    limits: Limits | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The application that serves ``served`` through ``engine``, and takes ownership of the engine.

    It accepts the host names of ``hosts``, by default only this machine's. ``origins`` are web
    sites whose pages may send requests (CORS); by default none.
    """
    limits, metrics = limits or Limits(), Metrics()
    thread = EngineThread(
        engine, metrics, max_sequences=limits.sequences, seconds=limits.request_seconds
    )
    metrics.watch(lambda: thread.state)
    service = Service(served, thread, limits, metrics, Compiler(served.vocabulary))

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        thread.start()
        yield
        await thread.stop()
        service.close()

    app = FastAPI(
        title="Glassmind",
        version=__version__,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirected POST loses its body
    )
    for endpoints in (completions, chat, reasoning, texts):
        app.include_router(endpoints.routes(service))
    app.state.end_requests = thread.end_all
    _add_state(app, service)
    _add_page(app)
    _add_refusals(app)
    event_schema.describe(app)
    app.add_middleware(
        Gate, hosts=hosts or Hosts(), keys=keys or Keys(), limits=limits, metrics=metrics
    )
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return app


def _add_state(app: FastAPI, service: Service) -> None:
    served = service.served
    model = {
        "id": served.name,
        "object": "model",
        "created": service.started,
        "owned_by": "glassmind",
        "max_model_len": service.thread.context,
        "format": served.format,
    }

    @app.get("/v1/models", response_model=None, responses=response_schema.of("Models"))
    async def models() -> Response:
        """The list with the served model."""
        return AsciiJSON({"object": "list", "data": [model]})

    @app.get("/v1/models/{name:path}", response_model=None, responses=response_schema.of("Model"))
    async def one_model(name: str) -> Response:
        """The served model, by its name."""
        service.check_model(name)
        return AsciiJSON(model)

    @app.get("/health", response_model=None, responses=response_schema.of("Health"))
    async def health() -> Response:
        """Whether the server can answer: 200 or 503."""
        if not service.thread.alive:
            raise Refusal(503, "the engine has stopped")
        return AsciiJSON({"status": "ok"})

    # Monitors often send HEAD.
    app.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)

    @app.get("/metrics", response_class=PlainTextResponse, responses=response_schema.ERRORS)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers=PAGE_HEADERS)

    app.mount("/static", StaticFiles(directory=STATIC))


def _add_refusals(app: FastAPI) -> None:
    """Answer every client error with a ``Refusal``; the gate handles internal errors."""

    async def refused(_: Request, error: Any) -> Response:
        return error.response()

    async def mistaken(_: Request, error: Any) -> Response:
        return Refusal(400, str(error)).response()

    async def invalid(_: Request, error: Any) -> Response:
        return invalid_fields(error.errors()).response()

    async def by_framework(_: Request, error: Any) -> Response:
        sentences = {
            400: "the body is not JSON in UTF-8, or is nested too deeply",
            404: "there is no such page",
            405: "this page takes another method",
        }
        answer = Refusal(error.status_code, sentences.get(error.status_code, str(error.detail)))
        response = answer.response()
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(UserError, mistaken)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, by_framework)

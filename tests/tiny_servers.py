"""Tiny models behind a real server, in this process: a chat model, and a run with a verifier."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI

from glassmind.generate import Engine
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers import composed
from glassmind.llm.local import LocalLLM
from glassmind.model import (
    AttentionConfig,
    FeedForwardConfig,
    ModelConfig,
    TokenScorer,
    Transformer,
)
from glassmind.runs.folder import open_run
from glassmind.runs.models import VERIFIER, save_model
from glassmind.runs.recipe import Recipe, SamplingConfig
from glassmind.serve.access.gate import Limits
from glassmind.serve.access.hosts import Hosts
from glassmind.serve.access.keys import Keys
from glassmind.serve.app import create_app
from glassmind.serve.connections import Patience
from glassmind.serve.running import Server, bound_socket
from glassmind.tokenize import SPECIAL_TOKENS, save, train_bpe
from glassmind.tokenize.composed.tokenizer import TokenizerFacts

# Every turn between special tokens; thinking begins the reasoning, else the answer.
TEMPLATE = (
    "{% for m in messages %}<|question|>{{ m.role }}: {{ m.content }}<|end|>{% endfor %}"
    "{{ '<|answer|>' if enable_thinking is false else '<|think|>' }}"
)
TEXT = 'What is 12 times 7? Mia has 3 boxes of 12 pencils. {"name": "add", "arguments": {}}'


def config(vocab_size: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=vocab_size,
        max_tokens=512,
        d_model=32,
        n_layers=2,
        attention=AttentionConfig(n_heads=2, qk_norm=False),
        feed_forward=FeedForwardConfig("swiglu", d_hidden=32),
    )


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Weights that say something, if nothing sensible."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.4, generator=generator)
    return module.eval()


def pretrained(template: str | None = TEMPLATE) -> Pretrained:
    """A model from elsewhere with random weights; its special tokens are ours."""
    tokenizer = train_bpe([TEXT * 9], len(SPECIAL_TOKENS) + 256 + 24)
    model = shaken(Transformer(config(tokenizer.vocab_size)))
    assert isinstance(model, Transformer)
    end = frozenset({tokenizer.special["<|end|>"]})
    given = composed(tokenizer, TokenizerFacts(eos_token="<|end|>"))
    return Pretrained(model, given, template, end, None, "tiny", Path("tiny"))


def chat_model(template: str | None = TEMPLATE) -> LocalLLM:
    """The same, ready to be served."""
    return LocalLLM.of_pretrained(pretrained(template), "tiny")


def write_run(path: Path) -> Path:
    """A run's folder with random models in it."""
    tokenizer = train_bpe([TEXT * 9], len(SPECIAL_TOKENS) + 256 + 24)
    sampling = SamplingConfig(samples=3, max_new_tokens=24)
    model_config = config(tokenizer.vocab_size)
    folder = open_run(path, Recipe(name="r", model=model_config, sampling=sampling), resume=False)
    save(tokenizer, folder.path / "tokenizer.json")
    for stage, module in (
        ("chain-of-thought", shaken(Transformer(model_config))),
        (VERIFIER, shaken(TokenScorer(Transformer(model_config), 2))),
    ):
        assert isinstance(module, (Transformer, TokenScorer))
        save_model(folder.model_folder(stage), module, tokenizer, stage)
    return folder.path


@contextlib.contextmanager
def serving(
    served: LocalLLM,
    *,
    hosts: Hosts | None = None,
    keys: Keys | None = None,
    limits: Limits | None = None,
    origins: tuple[str, ...] = (),
    cache_bytes: int = 4 << 20,
    connections: int = 100,
    patience: Patience | None = None,
    proxies: tuple[str, ...] = (),
    drain_seconds: float = 30,
    also: Callable[[FastAPI], None] = lambda app: None,
) -> Iterator[Served]:
    """A server in a thread of its own; yields its address. ``also`` may add pages to it."""
    engine = served.engine(max_rows=32, max_cache_bytes=cache_bytes)
    app = create_app(served, engine, hosts=hosts, keys=keys, limits=limits, origins=origins)
    also(app)
    listening = bound_socket("127.0.0.1", 0)
    ready = threading.Event()
    server = Server(
        app,
        drain_seconds=drain_seconds,
        started=ready.set,
        connections=connections,
        patience=patience,
        proxies=proxies,
    )
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    assert ready.wait(90)
    try:
        yield Served(f"http://127.0.0.1:{port_of(listening)}", server)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
        assert engine.n_running == engine.n_waiting == 0
        assert engine.n_free_blocks == engine.n_blocks


class Served(str):
    """The address of a server, and the server itself."""

    server: Server

    def __new__(cls, address: str, server: Server) -> Served:
        self = super().__new__(cls, address)
        self.server = server
        return self


class Stall:
    """While it is on, an engine takes no steps: whatever runs is endless on any machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = threading.Event()
        step = Engine.step

        def stalling(engine: Engine) -> Any:
            if not self.on.is_set():
                return step(engine)
            time.sleep(0.01)
            return []

        monkeypatch.setattr(Engine, "step", stalling)


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def port_of(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port

"""``serve`` from the command line: it answers, drains on SIGTERM, and says what is wrong."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import command_line
import httpx2
import pytest
from tiny_servers import pretrained

from glassmind.cli.serve import client_name
from glassmind.interop.gguf import save_gguf


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    return command_line.complaint(capsys, "serve", *argv)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")
def test_it_answers_and_drains(tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    save_gguf(pretrained(), model)
    command = [sys.executable, "-m", "glassmind", "serve", str(model), "--port", "0"]
    environment = {**os.environ, "GLASSMIND_API_KEYS": "key-of-the-test", "COLUMNS": "200"}
    with subprocess.Popen(
        [*command, "--threads", "1", "--drain-seconds", "900"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr is not None
        started = process.stderr.readline()
        found = re.search(r"^tiny answers at (http://127\.0\.0\.1:\d+)", started)
        assert found, started + process.stderr.read()
        headers = {"Authorization": "Bearer key-of-the-test"}
        with httpx2.Client(base_url=found[1], headers=headers, timeout=60) as http:
            assert httpx2.get(f"{found[1]}/v1/models").status_code == 401
            long = {"prompt": "What", "max_tokens": 300, "stream": True, "logit_bias": {"6": -100}}
            with http.stream("POST", "/v1/completions", json=long) as stream:
                lines = stream.iter_lines()
                received = [next(lines)]
                process.send_signal(signal.SIGTERM)
                received += lines
        assert received[-2:] == ["data: [DONE]", ""] and '"finish_reason":"length"' in received[-4]
        assert process.wait(90) == 0, process.stderr.read()
        assert "Traceback" not in process.stderr.read()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{found[1]}/health")


def test_what_clients_call_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("smollm2", "here/smollm2.gguf", "models/smollm2/", "hub:org/smollm2"):
        assert client_name(model) == "smollm2"
    assert client_name("stories15M.bin") == "stories15M"
    assert client_name("v1.5") == "v1.5"
    assert client_name("") == ""
    (tmp_path / "demo" / "models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "demo")
    assert client_name(".") == "demo"
    assert client_name("models/..") == "demo"


def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--port must be" in complaint(capsys, "--port", "70000")
    assert "--rows must be" in complaint(capsys, "--rows", "0")
    assert "--drain-seconds must be" in complaint(capsys, "--drain-seconds", "nan")
    assert "https://example.org" in complaint(capsys, "--origin", "*")
    assert "chat.example.org" in complaint(capsys, "--allow-host", "https://a.org")
    assert "did you mean smollm2?" in complaint(capsys, "smollm")
    keys = tmp_path / "keys"
    keys.write_text("short\n")
    assert "8 to 512" in complaint(capsys, "--keys", str(keys), "--port", "0")
    assert "no such file" in complaint(capsys, "--keys", str(tmp_path / "none"))
    assert "nowhere" in complaint(capsys, str(tmp_path / "nowhere"), "--port", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1 port {port}" in complaint(capsys, "--port", port)
    assert "cannot listen on" in complaint(capsys, "--host", "192.0.2.1", "--port", "0")
    for nowhere in ("", " "):
        assert "every address" in complaint(capsys, "--host", nowhere, "--port", "0")
    assert "an IP address" in complaint(capsys, "--proxy", "*")
    assert "--connections must be" in complaint(capsys, "--connections", "0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'glassmind[serve]'" in complaint(capsys)

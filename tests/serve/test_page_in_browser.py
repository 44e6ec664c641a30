"""The chat page in a real browser, driven by a script of the test."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response
from tiny_servers import serving

from glassmind.llm.opening import open_local
from glassmind.serve.app import PAGE_HEADERS, STATIC

NAME = "<img src=x onerror=document.title='pwned'><script>document.title='pwned'</script>"
HOSTILE = """# Title <b>bold</b>

* one `a<b` and **strong** *soft*
* [good](https://example.org/?a=1&b=2) [bad](javascript:document.title='pwned')

1. first

> quoted
> more

```html
<script>document.title='pwned'</script>
```
<img src=x onerror="document.title='pwned'"> tail **never closed"""

# Asks an example, then for one reply with its tokens coloured, then has Markdown shown.
DRIVER = """
import { markdown } from "./static/markdown.js";
const until = async (holds) => {
  while (!holds()) await new Promise((next) => setTimeout(next, 20));
};
const element = (id) => document.getElementById(id);
const idle = () => element("log").getAttribute("aria-busy") === "false";
try {
  await until(() => document.querySelector("#questions button"));
  element("seed").value = "3";
  document.querySelector("#questions button").click();
  await until(() => document.querySelector("details li") && idle());
  element("by").value = "chat";
  element("logprobs").checked = true;
  element("think").checked = false;
  element("max-tokens").value = "12";
  element("input").value = NAME;
  element("send").click();
  await until(() => element("log").children.length === 4 && idle());
  const shown = document.createElement("section");
  shown.id = "shown";
  shown.append(...markdown(HOSTILE));
  document.body.append(shown);
  document.body.dataset.driven = "yes";
} catch (error) {
  document.body.dataset.driven = `no: ${error}`;
}
await fetch("done", { method: "POST" });
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on this machine")
    return path


def dom(chromium: str, address: str, tmp_path: Path) -> str:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path}", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout


def test_a_conversation(chromium: str, run_folder: Path, tmp_path: Path) -> None:
    def pages(app: FastAPI) -> None:
        page = (STATIC / "index.html").read_text("utf-8")

        driven = asyncio.Event()

        @app.get("/hold.js")
        async def hold() -> Response:  # the browser shows what it has when all scripts are loaded
            await driven.wait()
            return Response("", media_type="text/javascript")

        @app.post("/done")
        async def done() -> Response:
            driven.set()
            return Response()

        @app.get("/drive")
        async def drive() -> Response:
            driven.clear()
            script = '<script type="module" src="drive.js"></script>'
            script += '<script async src="hold.js"></script></head>'
            return HTMLResponse(page.replace("</head>", script), headers=PAGE_HEADERS)

        @app.get("/drive.js")
        async def script() -> Response:
            constants = f"const NAME = {json.dumps(NAME)}, HOSTILE = {json.dumps(HOSTILE)};"
            return Response(constants + DRIVER, media_type="text/javascript")

    served = replace(open_local(str(run_folder)), name=NAME)
    with serving(served, also=pages) as address:
        seen = dom(chromium, f"{address}/drive", tmp_path)
    assert 'data-driven="yes"' in seen, seen
    log, shown = seen.split('id="log"')[1].split('id="shown"')
    assert '<ol class="votes">' in log and "verifier-vote: 3 chains of thought" in log
    assert "What the verifier believes of each step" in log and "believed" in log
    assert "How probable each token was" in log and '<span class="' in log
    assert "<code>a&lt;b</code>" in shown and "<strong>strong</strong> <em>soft</em>" in shown
    assert '<a href="https://example.org/?a=1&amp;b=2" rel="noopener noreferrer"' in shown
    assert "[bad](javascript:" in shown and "<blockquote>" in shown and "<pre><code>&lt;sc" in shown
    assert "pwned" not in seen.partition("</title>")[0]
    assert "<img" not in seen and seen.count("<script") == 3
    assert "&lt;img src=x onerror" in seen

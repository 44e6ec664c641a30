"""The server tested with two independent clients: schemathesis and lm-eval, on a real server.

    python benchmarks/serving_clients.py --programs /path/to/venv/bin
    python benchmarks/serving_clients.py smollm2 --only lm-eval

**schemathesis** reads `/openapi.json`, makes up requests that fit it and requests that do not, and
fails on any 5xx, on any answer whose status, type or body is not as described, and on any bad
request that is accepted.

**lm-eval** grades the model through `local-completions` (log-likelihoods of a multiple choice, and
texts up to a stop) and `local-chat-completions` (chats), on tasks in local files; its figures are
compared with the log-likelihoods and texts of an engine in this process.

The programs are not installed with Glassmind; `--programs` is the folder that contains them. The
result of each is printed. The last line is one JSON object; the exit code is 1 if one fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from serving_process import server

from glassmind.generate import Request, SamplingParams
from glassmind.llm.local import LocalLLM
from glassmind.llm.opening import open_local

SUMS = [(a, b) for a in range(2, 12) for b in (3, 7)]
CHOICE = """\
task: sums_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list: [{{metric: acc}}]
"""
TEXT = """\
task: sums_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{choices[label] | trim}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 12, temperature: 0}}
filter_list:
  - name: number
    filter: [{{function: regex, regex_pattern: '(\\d+)'}}, {{function: take_first}}]
metric_list: [{{metric: exact_match}}]
"""


def run_schemathesis(programs: Path, model: str, examples: int) -> dict[str, Any]:
    """What schemathesis found."""
    with server(model, "--max-tokens", "8") as at:
        command = [str(programs / "schemathesis"), "run", f"{at.address}/openapi.json"]
        command += ["--max-examples", str(examples), "--seed", "1", "--no-color"]
        command += ["--request-timeout", "300"]  # 128 samples take a while
        command += ["--exclude-checks", "positive_data_acceptance"]  # a schema says not everything
        done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout[-6000:])
    return {"exit_code": done.returncode}


def run_lm_eval(programs: Path, model: str) -> dict[str, Any]:
    """lm-eval's figures, and ours on the same questions."""
    served = open_local(model)
    with tempfile.TemporaryDirectory() as place, server(model, "--name", "served") as at:
        folder = Path(place)
        lines = [
            {"question": f"{a} plus {b} is", "choices": [f" {a + b}", f" {a + b + 1}"],
             "label": 0} for a, b in SUMS
        ]  # fmt: skip
        file = folder / "sums.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)))
        (folder / "choice.yaml").write_text(CHOICE.format(file=file))
        (folder / "text.yaml").write_text(TEXT.format(file=file))
        results = {}
        for kind, path, task in (
            ("local-completions", "/v1/completions", "sums_choice,sums_text"),
            ("local-chat-completions", "/v1/chat/completions", "sums_text"),
        ):
            if kind.startswith("local-chat") and served.format == "text":
                continue
            arguments = f"model=served,base_url={at.address}{path},num_concurrent=4,max_retries=1"
            if kind == "local-completions":
                arguments += ",tokenizer_backend=remote,tokenized_requests=True"
            command = [str(programs / "lm_eval"), "--model", kind, "--model_args", arguments]
            command += ["--include_path", place, "--tasks", task, "--output_path", f"{place}/out"]
            if kind.startswith("local-chat"):
                command.append("--apply_chat_template")
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(done.stderr[-3000:])
                return {"exit_code": done.returncode, "failed": kind}
            newest = max(folder.glob("out/**/results*.json"), key=lambda p: p.stat().st_mtime)
            for name, figures in json.loads(newest.read_text())["results"].items():
                results[f"{kind} {name}"] = {
                    key: value for key, value in figures.items() if isinstance(value, float)
                }
    ours = {"sums_choice": _choose(served, lines), "sums_text": _write(served, lines)}
    for name, figures in results.items():
        print(name, figures)
    print("offline", ours)
    return {"exit_code": 0, "lm_eval": results, "offline": ours}


def _choose(served: LocalLLM, lines: list[dict[str, Any]]) -> float:
    """Accuracy of the multiple choice by the model's own log-likelihoods."""
    right = 0
    for line in lines:
        scores = []
        for choice in line["choices"]:
            ids = served.tokenizer.encode(line["question"] + choice)
            start = len(served.tokenizer.encode(line["question"]))
            with torch.inference_mode():
                logprobs = served.model(torch.tensor([ids]))[0].log_softmax(-1)
            scores.append(sum(float(logprobs[i - 1, ids[i]]) for i in range(start, len(ids))))
        right += scores.index(max(scores)) == line["label"]
    return right / len(lines)


def _write(served: LocalLLM, lines: list[dict[str, Any]]) -> float:
    """Exact match of greedy continuations."""
    engine = served.engine(max_rows=64, max_cache_bytes=1 << 28)
    params = SamplingParams(12, temperature=0, stop=served.stop_ids, stop_texts=("\n",))
    encode = served.tokenizer.encode
    rows = engine.generate([Request(tuple(encode(line["question"])), params) for line in lines])
    pairs = zip(rows, lines, strict=True)
    numbers = [(re.search(r"\d+", row[0].text or ""), line) for row, line in pairs]
    return sum(found[0] == line["choices"][0].strip() for found, line in numbers if found) / len(
        lines
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--programs", type=Path, default=Path(sys.executable).parent)
    parser.add_argument("--only", choices=("schemathesis", "lm-eval"))
    parser.add_argument("--examples", type=int, default=100, help="examples per endpoint")
    args = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "serving_clients"}
    if args.only != "lm-eval":
        result["schemathesis"] = run_schemathesis(args.programs, args.model, args.examples)
    if args.only != "schemathesis":
        result["lm-eval"] = run_lm_eval(args.programs, args.model)
    print(json.dumps(result))
    return max(part["exit_code"] for part in result.values() if isinstance(part, dict))


if __name__ == "__main__":
    sys.exit(main())

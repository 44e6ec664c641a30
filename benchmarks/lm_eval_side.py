"""The other side of ``lm_eval_agreement.py``: lm-eval on the same files, in its own environment.

    python benchmarks/lm_eval_side.py FOLDER

The folder has the model in ``model/``, the tasks' files, and ``options.json``.

Prints one line of JSON: for every task the figures, and for every document the replies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.models.huggingface import HFLM

GSM = {"until": ["<|im_end|>"], "do_sample": False, "temperature": 0.0}


def task(name: str, file: Path, **config: Any) -> dict[str, Any]:
    """A task of lm-eval on a file of JSON lines."""
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "num_fewshot": 0,
        **config,
    }


def main() -> None:
    folder = Path(sys.argv[1])
    options = json.loads((folder / "options.json").read_text("utf-8"))
    model = HFLM(str(folder / "model"), device="cpu", dtype="float32", batch_size=options["batch"])
    multiple = {"output_type": "multiple_choice", "doc_to_target": "answer"}
    tasks = [
        task(
            "gsm",
            folder / "gsm.jsonl",
            output_type="generate_until",
            doc_to_text="Question: {{question}}\nAnswer:",
            doc_to_target="{{answer}}",
            generation_kwargs={**GSM, "max_gen_toks": options["tokens"]},
            metric_list=[
                {
                    "metric": "exact_match",
                    "aggregation": "mean",
                    "higher_is_better": True,
                    "ignore_case": True,
                    "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"],
                }
            ],
            filter_list=[
                {
                    "name": "flexible-extract",
                    "filter": [
                        {
                            "function": "regex",
                            "group_select": -1,
                            "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)",
                        },
                        {"function": "take_first"},
                    ],
                }
            ],
        ),
        task(
            "choices",
            folder / "choices.jsonl",
            doc_to_text="Question: {{question}}\nAnswer:",
            doc_to_choice="choices",
            metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}],
            **multiple,
        ),
        task(
            "mmlu",
            folder / "mmlu.jsonl",
            description="The following are multiple choice questions (with answers).\n\n",
            doc_to_text="{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\n"
            "C. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
            doc_to_choice=["A", "B", "C", "D"],
            metric_list=[{"metric": "acc"}],
            **multiple,
        ),
        task(
            "text",
            folder / "text.jsonl",
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target="{{text}}",
            metric_list=[
                {"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")
            ],
        ),
    ]
    found = lm_eval.simple_evaluate(model=model, tasks=tasks, log_samples=True, bootstrap_iters=0)
    replies = {
        name: [sample["resps"] for sample in sorted(rows, key=lambda row: row["doc_id"])]
        for name, rows in found["samples"].items()
    }
    print(json.dumps({"version": lm_eval.__version__, "results": found["results"],
                      "replies": replies}, default=str))  # fmt: skip


if __name__ == "__main__":
    main()

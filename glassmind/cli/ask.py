"""Answer a question, and show the steps, the votes and the scores.

    glassmind ask "Mia has 3 boxes of 12 pencils. She gives 5 away. How many pencils are left?"
    glassmind ask --model runs/demo -                 one question per line from standard input
    glassmind ask --model smollm2 What is 12 times 7?
    glassmind ask --model http://127.0.0.1:8000/v1 "What is 12 times 7?"

Without --model, the small model that comes with the package answers. Questions from standard input
are answered as one batch. A model from elsewhere is asked through its own chat template, and one
without such a template continues the question as a text.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from glassmind.cli.chosen_model import MODELS, add_prompt_arguments, add_thinking_arguments
from glassmind.errors import UserError
from glassmind.quantity import quantity

if TYPE_CHECKING:
    from glassmind.pipeline.answer import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "question", nargs="+", help="the question, or - to read questions, one per line"
    )
    parser.add_argument("--model", metavar="MODEL", help=MODELS)
    parser.add_argument(
        "--method",
        default="",
        metavar="NAME",
        help="the method, by default the best that the model supports (glassmind methods)",
    )
    parser.add_argument("--samples", type=int, metavar="K", help="number of chains that vote")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="0 takes the likeliest token each time"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="the most tokens of an answer (models from elsewhere: 256)",
    )
    add_thinking_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="number of CPU threads")
    parser.add_argument("--chains", action="store_true", help="show every chain, not the best one")
    parser.add_argument("--json", action="store_true", help="one JSON object per question")
    add_prompt_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from glassmind.llm.questions import check_question

    for name, value in (
        ("samples", args.samples),
        ("max-tokens", args.max_tokens),
        ("token-budget", args.token_budget),
    ):
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    questions = _questions(" ".join(args.question))
    for question in questions:
        check_question(question)
    # Everything that can be checked without torch has been; from here on it is imported.
    from glassmind.cli.chosen_model import chosen_prompts, set_threads
    from glassmind.cli.console import console, print_json
    from glassmind.cli.live import LiveProgress
    from glassmind.llm import open_llm
    from glassmind.llm.llm import reply_sampling
    from glassmind.pipeline.ask import ask

    if args.threads is not None:
        set_threads(args.threads)
    if args.method:
        refuse_idle_options(args.method, args.samples, args.temperature)
    with console().status("opening the model ..."):
        llm = open_llm(
            args.model or "", prompts=chosen_prompts(args), api_key_variable=args.api_key_env
        )
    sampling = reply_sampling(
        llm,
        samples=args.samples,
        temperature=args.temperature,
        max_new_tokens=args.max_tokens,
        calculator=args.calculator,
        where="the command line",
    )
    started = time.perf_counter()
    with LiveProgress() as progress:
        answers = ask(
            questions,
            llm,
            method=args.method,
            sampling=sampling,
            tokens=args.token_budget,
            seed=args.seed,
            progress=progress,
        )
    seconds = time.perf_counter() - started
    if not isinstance(answers, list):  # several questions give a list; this is for the type checker
        raise TypeError("ask returned one answer for a list of questions")
    in_words = llm.format != "question"
    for answer in answers:
        if args.json:
            print_json({**_plain(answer), **({"replies": answer.replies} if in_words else {})})
        elif in_words and len(answer.chains) == 1:
            _show_reply(answer)
        else:
            _show(answer, every_chain=args.chains)
    if in_words:
        tokens = sum(n.cost.completion_tokens for a in answers for c in a.chains for n in c.nodes)
        console().print(f"{tokens / seconds:.1f} tokens/s", style="dim")
    return 0


def refuse_idle_options(method: str, samples: int | None, temperature: float | None) -> None:
    """Raise ``UserError`` if there is no such method, or an option would change nothing."""
    from glassmind.reason import registry

    if samples is not None and not registry.named(method).scales:
        raise UserError(f"the method {method} does not take --samples: it has a number of its own")
    if temperature and registry.named(method).greedy:
        raise UserError(
            f"the method {method} does not take --temperature: it always takes the likeliest token"
        )


def _questions(question: str) -> list[str]:
    if question != "-":
        return [question]
    try:
        lines = sys.stdin.buffer.read(2**24).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is not UTF-8 text: {error}") from None
    questions = [line for line in lines if line.strip()]
    if not questions:
        raise UserError("standard input holds no question: write one per line")
    return questions


def _show(answer: Answer, *, every_chain: bool) -> None:
    from rich.text import Text

    from glassmind.cli.console import console, out
    from glassmind.pipeline.answer import answer_lines

    for line, style in answer_lines(answer, every_chain=every_chain):
        # Warnings go to standard error, so that a pipe gets only the answer.
        beside = line.lstrip().startswith("warning: ")
        (console() if beside else out()).print(Text(line, style=style), soft_wrap=True)


def _show_reply(answer: Answer) -> None:
    from glassmind.cli.console import console, out

    screen = out()
    if answer.warning:
        console().print(f"warning: {answer.warning}", style="yellow")
    screen.print(answer.question.strip(), style="bold")
    screen.print(answer.replies[0] or "(nothing)")
    chain = answer.chains[0]
    if chain.finish == "length":
        written = sum(node.cost.completion_tokens for node in chain.nodes)
        console().print(
            f"cut off after {quantity(written, 'token')}; --max-tokens allows more",
            style="dim",
        )


def _plain(answer: Answer) -> dict[str, object]:
    from glassmind.serialization import encode

    return {
        "question": answer.question,
        "answer": answer.text,
        "method": answer.method,
        "cost": encode(answer.cost),
        "chosen": answer.chosen,
        "confidence": answer.confidence,
        "warning": answer.warning,
        "examples": list(answer.examples),
        "votes": answer.votes,
        "weighted": answer.weighted,
        "chains": [
            {
                "steps": list(chain.steps),
                "equations_hold": list(checks.holds),
                "findings": list(checks.findings(chain.answer)),
                "step_scores": list(chain.step_scores),
                "answer": chain.answer,
                "score": chain.score,
                "logprob": chain.logprob,
            }
            for chain, checks in zip(answer.chains, answer.checks, strict=True)
        ],
    }

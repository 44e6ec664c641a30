"""``glassmind eval --tasks``: the tasks and the prompts."""

from __future__ import annotations

from glassmind.cli.console import out, print_json
from glassmind.evaluate.columns import Column, print_table
from glassmind.pipeline.tasks.prompts import prompt_names, shipped_prompt
from glassmind.pipeline.tasks.registry import names, tasks


def show_tasks(*, as_json: bool) -> None:
    """Print the names of all tasks and prompts with what they are, on standard output."""
    called = list(zip(names(), tasks(), strict=True))
    prompts = [shipped_prompt(name) for name in prompt_names()]
    if as_json:
        listed = [{"task": name, "about": task.about} for name, task in called]
        hashes = {prompt.name: prompt.sha256 for prompt in prompts}
        print_json({"tasks": listed, "prompts": hashes})
        return
    columns = [Column("task", left=True), Column("what it is", left=True)]
    print_table(out(), columns, [(name, task.about) for name, task in called])
    out().file.write("\n")
    columns = [Column("prompt", left=True), Column("hash", left=True), Column("begins", left=True)]
    rows = [(p.name, p.sha256, " ".join(p.text.split())[:50]) for p in prompts]
    print_table(out(), columns, rows)

"""The report from a made-up run folder: complete, escaped, self-contained, strict at the door."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from branching_example import tree_json

from glassmind.errors import UserError
from glassmind.evaluate import examples as examples_module
from glassmind.evaluate.ladder.table import ladder_text
from glassmind.evaluate.report import trace_tree
from glassmind.evaluate.report.page import write_report
from glassmind.evaluate.report.recipe_section import changes_of
from glassmind.evaluate.run_files import read_ladder, read_run_files
from glassmind.runs.recipe import Recipe, packaged_recipe, recipe_toml

HOSTILE = '<script>alert("x")</script>&<img src=x onerror=y>'


class Page(HTMLParser):
    """Checks nesting and collects tags and text."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_whole_report(run: Path) -> None:
    path = write_report(run)
    assert path == run / "report.html"
    html = path.read_text(encoding="utf-8")
    assert len(html.encode()) < 3 * 2**20
    page = Page(html)
    text = " ".join(" ".join(page.words).split())
    svgs = [attributes for tag, attributes in page.tags if tag == "svg"]
    # three slices, two of tokens, three of training, three by steps, one attention map
    assert len(svgs) == 3 + 2 + 3 + 3 + 1
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in svgs)
    assert sum("example" in (a.get("class") or "") for tag, a in page.tags if tag == "details") == 8
    for words in (
        "91.2 %",
        "Supported",
        "1f3a9c2",
        "d_model = 128",
        "Layer 2, head 1",
        "61.3 % 1.0 %",
        "false equation",
        "The run has the settings of the recipe demo",
    ):
        assert words in text, words
    assert "nan" not in html.lower().replace("nancy", "")
    assert not list(run.glob(".report-*"))


def test_the_page_needs_nothing_else(run: Path) -> None:
    html = write_report(run).read_text(encoding="utf-8")
    names = {tag for tag, _ in Page(html).tags}
    assert not names & {"script", "link", "iframe", "img", "object", "embed", "form"}
    assert not re.search(r"https?://|url\(|@import|\ssrc=", html)
    assert "default-src 'none'" in html
    assert str(run.parent) not in html


def test_everything_from_outside_is_escaped(run: Path) -> None:
    def poison(value: Any, free_keys: bool = False) -> Any:
        if isinstance(value, str):
            return HOSTILE + value
        if isinstance(value, list):
            return [poison(item) for item in value]
        if isinstance(value, dict):
            free = {"vote", "answers", "machine", "versions", "seconds"}
            return {
                (HOSTILE + key if free_keys else key): (
                    item if key in ("kind", "author") else poison(item, key in free)
                )
                for key, item in value.items()
            }
        return value

    examples = json.loads((run / "examples.json").read_text())
    (run / "examples.json").write_text(json.dumps([examples[0], tree_json()]))
    for name in ("ladder", "by_steps", "votes", "examples", "attention", "run"):
        value = json.loads((run / f"{name}.json").read_text())
        (run / f"{name}.json").write_text(json.dumps(poison(value)))
    (run / "recipe.toml").write_text(HOSTILE)
    lines = (run / "metrics.jsonl").read_text().splitlines()[:-1]  # the last one has a NaN
    lines = [json.dumps(poison(json.loads(line))) for line in lines]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    html = write_report(run).read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    names = {tag for tag, _ in Page(html).tags}
    assert not names & {"script", "img"}
    assert not any(key.startswith("on") for _, attributes in Page(html).tags for key in attributes)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("metrics.jsonl", "left no training metrics"),
        ("by_steps.json", "did not record accuracy by number of steps"),
        ("votes.json", "did not record how accuracy changes"),
        ("examples.json", "kept no example problems"),
        ("attention.json", "kept no attention weights"),
        ("dependencies.json", "did not measure which heads look where operands come from"),
        ("run.json", "did not record its machine"),
        ("recipe.toml", "kept no recipe"),
    ],
)
def test_missing_files_are_said(run: Path, name: str, sentence: str) -> None:
    assert sentence not in write_report(run).read_text(encoding="utf-8")
    (run / name).unlink()
    html = write_report(run).read_text(encoding="utf-8")
    Page(html)
    assert sentence in html


def test_a_ladder_alone_or_empty_is_enough(run: Path) -> None:
    for path in run.iterdir():
        if path.name != "ladder.json":
            path.unlink()
    Page(write_report(run).read_text(encoding="utf-8"))
    bare = {**json.loads((run / "ladder.json").read_text()), "rows": []}
    (run / "ladder.json").write_text(json.dumps(bare))
    for name in ("by_steps", "votes", "examples"):
        (run / f"{name}.json").write_text("[]")
    (run / "metrics.jsonl").write_text("")
    (run / "attention.json").write_text('{"layer":0,"head":0,"tokens":[],"weights":[]}')
    Page(write_report(run).read_text(encoding="utf-8"))
    assert ladder_text(read_ladder(run / "ladder.json")).startswith("slice")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ladder.json", "{", "ladder.json is not valid JSON"),
        ("ladder.json", "[" * 100_000, "ladder.json is not valid JSON"),
        ("ladder.json", '{"schema":3,"recipe":"","commit":"","seed":0,"rows":[]}', "schema should"),
        ("ladder.json", '{"schema": 2}', "ladder.json: recipe is missing"),
        ("votes.json", '[{"rung": "base", "k": "2"}]', "votes.json: 0.k takes an integer"),
        ("votes.json", "{}", "votes.json: the whole takes a list"),
        ("by_steps.json", '[{"rung": NaN}]', "NaN is not a JSON number"),
        ("metrics.jsonl", '{"stage": "base"}\n', "metrics.jsonl, line 1: step is missing"),
        ("metrics.jsonl", '\n{"stage": "b"\n', "metrics.jsonl, line 2 is not valid JSON"),
        ("attention.json", '{"layer":0,"head":0,"tokens":["a"],"weights":[[1,2]]}', "square"),
        ("dependencies.json", '{"before":{"operands":1,"evenly":0,"shares":[[0.1]]},'
         '"after":{"operands":1,"evenly":0,"shares":[[0.1,0.2]]}}', "the same layers and heads"),
        ("run.json", '{"seconds": {"a": true}}', "run.json: seconds.a takes a number"),
        ("run.json", '{"seconds": {"a": 1e999}}', "1e999 is not a JSON number"),
    ],
)  # fmt: skip
def test_malformed_files_are_named(run: Path, name: str, content: str, message: str) -> None:
    before = write_report(run).read_bytes()
    (run / name).write_text(content)
    with pytest.raises(UserError, match=message):
        write_report(run)
    assert (run / "report.html").read_bytes() == before


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand in a document; of a list, its first element stands for all."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(min(1, len(value)))
        for key in keys:
            yield from _places(value[key], (*path, key))
    elif type(value) in (int, float):
        yield path


NUMBERS = {
    "1e999": "1e999 is not a JSON number",
    "9" * 5000: "not valid JSON",
    "-1e301": r"-1e\+301 is larger than 1e\+300",
    "1" + "0" * 400: r"the number 1000+\.\.\. is larger than 1e\+300",
}


def test_numbers_that_cannot_be_are_said_wherever_they_stand(run: Path) -> None:
    """Each place with one of the numbers, in turn."""
    (run / "metrics.jsonl").write_text("")
    (run / "attention.json").unlink()
    examples = json.loads((run / "examples.json").read_text("utf-8"))
    (run / "examples.json").write_text(json.dumps(examples[:1]), "utf-8")
    numbers = itertools.cycle(NUMBERS.items())
    for name in ("ladder.json", "by_steps.json", "votes.json", "examples.json", "run.json"):
        text = (run / name).read_text("utf-8")
        for path in _places(json.loads(text)):
            changed = json.loads(text)
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = "HERE"
            number, message = next(numbers)
            (run / name).write_text(json.dumps(changed).replace('"HERE"', number))
            with pytest.raises(UserError, match=message) as error:
                read_run_files(run)
            assert len(str(error.value)) < 300
        (run / name).write_text(text)
    for number in list(NUMBERS)[1:]:  # a loss beyond floats is one that was not finite
        (run / "metrics.jsonl").write_text('{"stage": "a", "step": 1, "loss": ' + number + "}\n")
        with pytest.raises(UserError, match=r"metrics\.jsonl, line 1"):
            read_run_files(run)


def test_other_bad_folders(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no ladder\.json"):
        write_report(tmp_path)
    (run / "recipe.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        write_report(run)
    ladder = json.loads((run / "ladder.json").read_text())
    changes: list[tuple[dict[str, Any], str]] = [
        ({"against": "nobody"}, "compared with 'nobody'"),
        ({"p_value": 1.5}, "p_value should lie"),
        ({"accuracy": 0.99}, "outside its interval"),
    ]
    for change, message in changes:
        rows = [{**ladder["rows"][3], **change}, *ladder["rows"][:3]]
        (run / "ladder.json").write_text(json.dumps({**ladder, "rows": rows}))
        with pytest.raises(UserError, match=message):
            write_report(run)
    examples = json.loads((run / "examples.json").read_text())
    examples[2]["nodes"][1]["parent"] = 1
    (run / "ladder.json").write_text(json.dumps(ladder))
    shutil.copy(run / "ladder.json", run / "recipe.toml")
    (run / "examples.json").write_text(json.dumps(examples))
    with pytest.raises(UserError, match=r"2\.nodes\.1\.parent must be the number of an earlier"):
        write_report(run)


def test_half_a_last_line_is_an_interrupted_run(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "verifier", "st')
    Page(write_report(run).read_text(encoding="utf-8"))


def test_a_trace_that_branches_is_drawn_as_a_tree(run: Path) -> None:
    (run / "examples.json").write_text(json.dumps([tree_json()]))
    html = write_report(run).read_text(encoding="utf-8")
    page = Page(html)
    classes = [attributes.get("class") or "" for _, attributes in page.tags]
    assert sum(name.startswith("node ") for name in classes) == len(tree_json()["nodes"])
    assert sum(name == "tree" for name in classes) == 1 + 2  # below two nodes it branches
    assert sum("invalid" in name for name in classes if name.startswith("node")) == 2
    assert any(name == "node step tool" for name in classes)
    text = " ".join(" ".join(page.words).split())
    assert "The tree of step beam" in text and "2 of 5" in text
    assert text.index("left: 48-6=42") < text.index("left: 48+6=54") < text.index("given: 6")
    assert "The sampled chains" not in text


def test_of_a_large_tree_a_part_is_drawn(run: Path) -> None:
    comb: list[dict[str, Any]] = [{"parent": None, "kind": "step", "text": "root"}]
    for _ in range(trace_tree.MAX_DEPTH + 5):  # each second node branches
        parent = len(comb) - 1
        comb += [{"parent": parent, "kind": "step", "text": "s"} for _ in range(2)]
    wide = [*comb[:1], *({"parent": 0, "kind": "step", "text": "s"} for _ in range(700))]
    for nodes, hidden in ((comb, 2 * 5), (wide, 701 - trace_tree.MAX_DRAWN)):
        example = {**tree_json(), "nodes": nodes}
        (run / "examples.json").write_text(json.dumps([example]))
        html = write_report(run).read_text(encoding="utf-8")
        Page(html)
        assert f"Left out here: {hidden} nodes" in html


@pytest.mark.parametrize(("limit", "most"), [("MAX_NODES", 10), ("MAX_PATH_NODES", 10)])
def test_traces_that_are_too_large_are_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(examples_module, limit, most)
    with pytest.raises(UserError, match=r"examples\.json has .*nodes"):
        write_report(run)


def test_the_changed_settings_are_listed() -> None:
    demo = packaged_recipe("demo")
    assert demo is not None
    changed = replace(demo, seed=9, train=replace(demo.train, steps=7))
    found = changes_of(recipe_toml(changed))
    assert found is not None and found.base == "the recipe demo"
    assert [(s.key, s.value, s.usual) for s in found.settings] == [
        ("seed", "9", "0"),
        ("train.steps", "7", str(demo.train.steps)),
    ]
    own = changes_of(recipe_toml(Recipe(name="mine", seed=3)))
    assert own is not None and own.base == "the defaults"
    assert [setting.key for setting in own.settings] == ["seed"]
    assert changes_of("no toml at all =") is None

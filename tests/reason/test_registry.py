"""The registry: names, order, needs, comparisons."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import glassmind
from glassmind.errors import UserError
from glassmind.reason import registry
from glassmind.reason.method import NAME


def test_methods_are_compared_with_methods_before_them() -> None:
    seen: set[str] = set()
    for method in registry.methods():
        assert set(method.compared_with) <= seen
        assert method.title and method.explanation.endswith(".")
        assert registry.named(method.name) is method
        seen.add(method.name)
    assert [method.name for method in registry.methods() if method.ceiling] == ["any-of-k"]


def test_what_is_there_decides_what_can_be_used() -> None:
    assert [m.name for m in registry.usable({"direct"})] == ["direct"]
    assert registry.best({"direct"}).name == "direct"
    assert registry.best({"chain"}).name == "self-consistency"
    assert registry.best({"direct", "chain", "verifier", "answers"}).name == "verifier-vote"
    with pytest.raises(UserError, match="no method can be used"):
        registry.best({"verifier"})
    vote = registry.named("verifier-vote")
    registry.require(vote, {"chain", "verifier"})
    said = "verifier-vote needs a model that writes its steps and a verifier"
    with pytest.raises(UserError, match=said):
        registry.require(vote, {"direct"})


def test_a_method_is_registered_for_a_while() -> None:
    toy = replace(registry.named("self-consistency"), name="toy")
    with registry.registered(toy):
        assert registry.methods()[-1] is toy
        with pytest.raises(ValueError, match="method 'toy' already"), registry.registered(toy):
            pass
        assert registry.find("toy") is toy
    assert registry.find("toy") is None
    with pytest.raises(UserError, match=f"no method 'toy'; the methods are {_names()}"):
        registry.named("toy")
    for name in ("", "Vote", "a b", "-a", "a_b"):
        with pytest.raises(ValueError, match="lower-case words"):
            replace(toy, name=name)


def _names() -> str:
    return ", ".join(method.name for method in registry.methods())


def test_no_method_is_named_outside_its_file() -> None:
    """Except where files of former versions are read, where a stage or a style has the name, and
    in the glossary."""
    stages = {"direct", "chain-of-thought"}
    names = [method.name for method in registry.methods() if method.name not in stages]
    names += [name.replace("-", "_") for name in names]
    named = re.compile(r"(?<![\w-])[\"'](" + "|".join(names) + r")[\"']")
    package = Path(glassmind.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for ending in ("py", "jinja", "css", "html", "js")
        for path in package.rglob(f"*.{ending}")
        if named.search(path.read_text("utf-8"))
    }
    own = {path for path in found if path.startswith("reason/methods/")}
    assert found - own == {"evaluate/glossary.py", "evaluate/schema_1.py"}
    methods = [method for method in registry.methods() if method.name not in stages]
    modules = {method.solve.__module__.rpartition(".")[2] for method in methods}
    assert {f"reason/methods/{module}.py" for module in modules} <= own
    assert all(NAME.fullmatch(method.name) for method in registry.methods())

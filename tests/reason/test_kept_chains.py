"""Which sampled chains are learned from."""

from __future__ import annotations

import pytest

from glassmind.reason.kept_chains import equations, keep_accepted
from glassmind.records import Completion, Finish, Node, Trace


def chain(*steps: str, finish: Finish = "stop") -> Completion:
    nodes = [Node(None, "step", step) for step in steps]
    nodes.append(Node(None, "answer", "7", finish=finish, answer="7"))
    return Trace.of_chains("p", [nodes]).completions[0]


def test_chains_differ_by_their_equations() -> None:
    one = chain("pencils: 3*12=36", "left: 36-5=31")
    assert equations(one) == ("3*12=36", "36-5=31")
    assert equations(one) == equations(chain("3 * 12 = 36", "so 36-5=31"))
    assert equations(one) != equations(chain("12*3=36", "36-5=31"))
    assert equations(one) != equations(chain("36-5=31", "3*12=36"))
    assert equations(chain("first  count them", "(3+4)*2=14")) == (
        "first count them",
        "(3+4)*2=14",
    )


def test_accepted_chains_that_differ_are_kept_in_order() -> None:
    chains = [
        chain("1+6=7"),
        chain("9-2=7"),  # not rewarded
        chain("sum: 1+6=7"),  # the first again
        chain("2+5=7"),
        chain("3+4=7", finish="length"),  # cut off
        chain("4+3=7"),
    ]
    found = keep_accepted(chains, [1, 0.4, 1, 1, 1, 0.5], threshold=0.5, most=2)
    assert (found.accepted, found.distinct) == (4, 3)
    assert [one.steps for one in found.kept] == [("1+6=7",), ("2+5=7",)]


def test_nothing_accepted_keeps_nothing() -> None:
    found = keep_accepted([chain("1+6=7")], [0.0], threshold=1, most=4)
    assert (found.accepted, found.distinct, found.kept) == (0, 0, ())
    with pytest.raises(ValueError, match="zip"):
        keep_accepted([chain("1+6=7")], [], threshold=1, most=4)

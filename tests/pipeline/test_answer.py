"""What is shown of an answer: the chosen chain, marks, votes, confidence, warnings."""

from __future__ import annotations

from dataclasses import replace

from fixed_model import chain

from glassmind.pipeline.answer import Answer, answer_lines, by_calculator, conclude
from glassmind.reason.confidence import Calibration, Weights
from glassmind.reason.method import Solution
from glassmind.records import OUTCOME, PROCESS, Node, Trace

QUESTION = "A book costs $12. Tom buys 3 books. How much does Tom pay?"
SURE = Calibration(1, 4.0, Weights(0, 0, 0, 0, 0))


def written(steps: list[str], answer: str, score: float, logprob: float = -1.0) -> list[Node]:
    nodes = [Node(None, "step", step, scores={PROCESS: score}) for step in steps]
    end = replace(chain(answer, 1, logprob, score), text=answer, scores={OUTCOME: score})
    return [*nodes, end]


def solution(*chains: list[Node], chosen: int | None = None) -> Solution:
    trace = Trace.of_chains("0", chains)
    return Solution.of(chains[0][-1].answer, trace, chosen)


def concluded(question: str, found: Solution, **more: object) -> Answer:
    return conclude(question, found, "verifier-vote", **more)  # type: ignore[arg-type]


def test_the_chosen_chain_is_shown() -> None:
    good, better = written(["a: 12*3=36"], "36", 0.5), written(["b: 3*12=36"], "36", 0.9)
    answer = concluded(QUESTION, solution(good, better, chosen=0))
    assert answer.best is not None and answer.best.steps == ("a: 12*3=36",)
    # A method that does not say which chain it took: the best scored of those with its answer.
    answer = concluded(QUESTION, solution(good, better))
    assert answer.best is not None and answer.best.steps == ("b: 3*12=36",)
    assert answer.warning is None and "warning" not in str(answer)


def test_what_is_wrong_is_marked_and_warned_of() -> None:
    found = solution(written(["left: 12-3=9", "all: 9/2=4"], "9", 0.99), chosen=0)
    answer = concluded(QUESTION, found, strangeness=0.0, calibration=SURE)
    text = str(answer)
    assert (
        "2. all: 9/2=4   99%   ✗ false" in text and "✗ the answer is not the last step's 4" in text
    )
    assert answer.confidence == 0.5  # however sure the calibration is
    assert answer.warnings == (
        "the equation 9/2=4 is false",
        "the answer 9 is not the last step's result, 4",
        "a step adds or subtracts money and things",
    )
    assert answer.warning == "; ".join(answer.warnings)


def test_little_confidence_is_a_warning_of_its_own() -> None:
    found = solution(written(["paid: 12*3=36"], "36", 0.9), chosen=0)
    doubtful = Calibration(1, -1.0, Weights(0, 0, 0, 0, 0))
    answer = concluded(QUESTION, found, strangeness=0.0, calibration=doubtful)
    assert answer.warnings == ("answers like this one are right about 27% of the time",)
    sure = concluded(QUESTION, found, strangeness=0.0, calibration=SURE)
    assert sure.warnings == () and "confidence  98%" in str(sure)
    assert concluded(QUESTION, found, strangeness=None, calibration=SURE).confidence is None


def test_a_strange_question_lists_what_can_be_asked() -> None:
    found = solution(written(["a: 1+1=2"], "2", 0.9), chosen=0)
    strange = concluded("?", found, warning="unlike", examples=("Tom has 3 <caps>.",))
    assert "what can be asked, for example:\n    Tom has 3 <caps>." in str(strange)
    assert concluded("?", found, examples=("Tom has 3.",)).examples == ()


def test_a_sum_is_computed_or_held_against_the_answer() -> None:
    exact = by_calculator("What is 12*13?")
    assert exact is not None and (exact.text, exact.method, exact.chains) == (
        "156",
        "calculator",
        (),
    )
    assert "computed exactly; no model was asked" in str(exact)
    assert by_calculator(QUESTION) is None
    wrong = concluded("What is 12*13?", solution(written(["12 is it"], "12", 0.9), chosen=0))
    assert wrong.warnings == ("exact arithmetic says 12*13=156",)


def test_all_chains_and_none() -> None:
    found = solution(written(["a: 1+1=2"], "2", 0.9), written([], "3", 0.1), chosen=0)
    lines = [line for line, _ in answer_lines(concluded("?", found), every_chain=True)]
    assert "  chain 1 (answer 2, verifier score 90%)" in lines
    assert "  chain 2 (answer 3, verifier score 10%)" in lines
    nothing = replace(chain(None), answer=None)
    answer = concluded("?", Solution.of(None, Trace.of_chains("0", [[nothing]])))
    assert answer.best is None and "no chain reached a number" in str(answer)


def test_html_is_escaped() -> None:
    found = solution(written(["<script>: 1+1=2"], "2", 0.9), chosen=0)
    answer = concluded("<b>?</b>", found)
    for record in (answer, found.trace, found.trace.completions[0]):
        html = record._repr_html_()
        assert "&lt;script&gt;" in html and "<script>" not in html and "<b>" not in html
    assert "1. <script>: 1+1=2   90%\n  answer 2   90%" in str(found.trace)
    assert str(found.trace).startswith("what was written about problem 0: 1 chain, 1 token")

"""The facts that a verifier is told about each step."""

from __future__ import annotations

from glassmind.grade.step_facts import FACTS, step_facts

QUESTION = "Mia has 3 boxes of 12 pencils. She gives 6 away. How many are left?"


def names(bits: int) -> set[str]:
    return {name for number, name in enumerate(FACTS) if bits >> number & 1}


def test_a_right_chain() -> None:
    [first, second], end = step_facts(QUESTION, ["pencils: 3*12=36", "left: 36-6=30"], "30")
    assert names(first) == {
        "end of a step",
        "an equation that can be read",
        "two numbers of the question combined",
        "at least one number of the question unused",
    }
    assert names(second) == {
        "end of a step",
        "an equation that can be read",
        "an operand from the step before",
        "the last operation is a sum or difference",
    }
    assert names(end) == {"end of the chain"}


def test_what_goes_wrong_is_remembered() -> None:
    steps = ["3*12=35", "35-77=2", "12-3=9"]
    [first, second, third], end = step_facts(QUESTION, steps, "8")
    assert "a false equation" in names(first)
    assert "a false equation before" not in names(first)
    assert {"a false equation", "a false equation before", "an operand from nowhere"} <= names(
        second
    )
    assert "an operand used again" in names(third)
    assert names(end) == {
        "end of the chain",
        "a false equation before",
        "an operand from nowhere before",
        "an operand used again before",
        "at least one number of the question unused",
        "at least one earlier result unused",
        "the answer is not the last result",
    }


def test_steps_in_words_and_no_steps() -> None:
    assert [names(bits) for bits in step_facts(QUESTION, ["so few"], None)[0]] == [
        {
            "end of a step",
            "at least one number of the question unused",
            "at least two numbers of the question unused",
            "at least three numbers of the question unused",
        }
    ]
    assert step_facts("", [], None)[0] == []


def test_a_word_of_the_question_and_general_knowledge() -> None:
    [first, second], _ = step_facts(
        "He sells a fifth of 45 in an hour.", ["45/5=9", "9*60=540"], "540"
    )
    assert "an operand from a word of the question" in names(first)
    assert "an operand of general knowledge" in names(second)

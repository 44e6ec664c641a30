"""A model in this process: asking it, and reading what it wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_servers import chat_model

from glassmind.errors import UserError
from glassmind.generate import Engine, Generation, Request, SamplingParams, derive_seed, pack_model
from glassmind.generate.model_runner import LanguageModel
from glassmind.llm import LocalLLM, PromptFormat
from glassmind.llm.costs import timed
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.records import Problem, Step, Trace
from glassmind.tokenize import CharTokenizer, Style, encode_prompt, parse_completion

TOKENIZER = CharTokenizer()
END = TOKENIZER.special["<|end|>"]
PROBLEMS = [Problem(f"p{n}", "How many?" + "?" * n, "3") for n in (0, 4, 1)]
PARAMS = SamplingParams(max_new_tokens=40, temperature=1.0, samples=5, seed=11)


@pytest.fixture(scope="module")
def llm() -> LocalLLM:
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        max_tokens=48,
        d_model=16,
        n_layers=1,
        tie_embeddings=False,
        attention=AttentionConfig(n_heads=2),
    )
    torch.manual_seed(0)
    model = Transformer(config)
    with torch.no_grad():  # special tokens come often, so that chains have steps and ends
        model.unembed.weight.mul_(0.3)
        model.unembed.weight[: len(TOKENIZER.special)].mul_(4.0)
    return LocalLLM("tiny", model, TOKENIZER, "question", frozenset({END}))


@pytest.mark.parametrize("style", ["chain", "direct"])
def test_completions_are_read_as_written(llm: LocalLLM, style: Style) -> None:
    rows = llm.sample(PROBLEMS, PARAMS, style)
    assert [len(trace.completions) for trace in rows] == [5, 5, 5]
    finishes = set()
    for problem, trace in zip(PROBLEMS, rows, strict=True):
        room = 48 - len(encode_prompt(TOKENIZER, problem.question, style))
        for number, one in enumerate(trace.completions):
            assert (one.problem_id, one.sample) == (problem.id, number)
            assert len(one.token_ids) == len(one.logprobs) <= min(40, room)
            assert all(p <= 0 for p in one.logprobs)
            assert END not in one.token_ids[:-1]
            assert (one.finish == "stop") == (one.token_ids[-1] == END)
            parsed = parse_completion(TOKENIZER, one.token_ids, style)
            assert (one.steps, one.answer) == (parsed.steps, parsed.answer)
            assert one.score is None
            finishes.add(one.finish)
    assert finishes == {"stop", "length"}


def test_every_problem_has_random_numbers_of_its_own(llm: LocalLLM) -> None:
    two_alike = [PROBLEMS[0], replace(PROBLEMS[0], id="other")]
    one, two = llm.sample(two_alike, PARAMS, "chain")
    assert [c.token_ids for c in one.completions] != [c.token_ids for c in two.completions]
    assert len({c.token_ids for c in one.completions}) > 1
    again = llm.sample(two_alike, PARAMS, "chain")
    assert untimed(again) == untimed([one, two])
    other = llm.sample(two_alike, replace(PARAMS, seed=12), "chain")
    assert untimed(other) != untimed([one, two])


def test_a_question_is_answered_alike_alone_and_among_others(llm: LocalLLM) -> None:
    together = llm.sample(PROBLEMS, PARAMS, "chain")
    first = llm.sample(PROBLEMS[:1], PARAMS, "chain")
    assert [c.token_ids for c in first[0].completions] == [
        c.token_ids for c in together[0].completions
    ]


def test_a_batch_s_time_is_shared_by_tokens(llm: LocalLLM) -> None:
    rows = llm.sample(PROBLEMS, PARAMS, "chain")
    costs = [node.cost for trace in rows for node in trace.nodes]
    each = [cost.seconds / cost.completion_tokens for cost in costs if cost.completion_tokens]
    assert min(each) == pytest.approx(max(each)) and min(each) > 0
    assert rows[0].first(1).cost.seconds == rows[0].completions[0].cost.seconds
    three = timed(rows, 3.0)
    added = sum(t.cost.seconds for t in three) - sum(t.cost.seconds for t in rows)
    assert added == pytest.approx(3.0)


def untimed(traces: list[Trace]) -> list[list[tuple[int, ...]]]:
    """What was written, without how long it took."""
    return [[c.token_ids for c in trace.completions] for trace in traces]


def test_progress_counts_chains(llm: LocalLLM) -> None:
    calls: list[tuple[int, int]] = []
    llm.sample(PROBLEMS, PARAMS, "chain", lambda done, total: calls.append((done, total)))
    assert calls[-1] == (15, 15)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_question_beyond_the_context_has_empty_completions(llm: LocalLLM) -> None:
    """And does not disturb the others."""
    long = Problem("long", "Mia has " + "very " * 20 + "many pencils.", "1")
    both = llm.sample([PROBLEMS[0], long], PARAMS, "chain")
    assert untimed(both[:1]) == untimed(llm.sample(PROBLEMS[:1], PARAMS, "chain"))
    assert len(both[1].completions) == PARAMS.samples
    assert all(c.token_ids == () and c.answer is None for c in both[1].completions)


def test_the_weights_are_packed_once(llm: LocalLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[Transformer] = []

    def spy(model: Transformer) -> LanguageModel:
        packed.append(model)
        return pack_model(model)

    monkeypatch.setattr("glassmind.llm.local.pack_model", spy)
    fresh = replace(llm)
    first, again = (untimed(fresh.sample(PROBLEMS, PARAMS, "chain")) for _ in range(2))
    assert first == again == untimed(llm.sample(PROBLEMS, PARAMS, "chain"))
    assert packed == [llm.model]


def test_a_model_of_bare_questions_takes_no_other_words(llm: LocalLLM) -> None:
    with pytest.raises(UserError, match="was trained on bare questions"):
        llm.with_prompts(PromptFormat("Solve this: {question}"))


def test_a_direct_model_is_marked_as_one(llm: LocalLLM) -> None:
    assert llm.prompt("q", "direct") == encode_prompt(TOKENIZER, "q", "direct")
    assert llm.can_think and not replace(llm, style="direct").can_think


# ------------------------------------------------------------------------------ in free text


def test_a_chat_model_is_asked_through_its_template() -> None:
    chat = chat_model()
    question = "What is 12 times 7?"
    asked = chat.prompt(question, "chain")
    assert asked == chat.chat_prompt([{"role": "user", "content": question}])
    assert asked[-1] == chat.tokenizer.special["<|think|>"]
    # Its template knows how to leave the thinking out.
    assert chat.prompt(question, "direct")[-1] == chat.tokenizer.special["<|answer|>"]
    unthinking = chat.with_prompts(PromptFormat(think=False))
    assert unthinking.prompt(question, "chain")[-1] == chat.tokenizer.special["<|answer|>"]
    example = Problem("e", "1+1?", "2", (Step("1+1=2"),))
    shown = chat.with_prompts(PromptFormat("Now: {question}", examples=(example,)))
    text = chat.tokenizer.decode(shown.prompt(question, "chain"))
    assert text.index("user: Now: 1+1?") < text.index("assistant: 1+1=2\nThe answer is 2.")
    assert text.index("The answer is 2.") < text.index(f"user: Now: {question}")


def test_a_model_without_a_way_to_think_is_not_told_to() -> None:
    plain = chat_model("{% for m in messages %}{{ m.content }}{% endfor %}")
    with pytest.raises(UserError, match="cannot be told whether to think"):
        plain.with_prompts(PromptFormat(think=True))


def test_a_base_model_continues_text_up_to_the_next_question() -> None:
    base = chat_model(None)
    assert base.prompt("Once", "chain") == base.tokenizer.encode("Once")
    example = Problem("e", "1+1?", "2", (Step("1+1=2"),))
    shown = base.with_prompts(PromptFormat(examples=(example,)))
    assert base.tokenizer.decode(shown.prompt("2+2?", "chain")) == (
        "Question: 1+1?\nAnswer: 1+1=2\nThe answer is 2.\n\nQuestion: 2+2?\nAnswer:"
    )
    ids = base.tokenizer.encode(" 4.\nQuestion: 5+5? 10")
    generation = Generation(tuple(ids), (0.0,) * len(ids), "stop", text=" 4.")
    nodes = base.nodes([], generation, "chain")
    assert "".join(node.text for node in nodes) == " 4." and nodes[-1].answer == "4"
    assert [t for node in nodes for t in node.token_ids] == ids


def test_text_beyond_the_context_is_refused_before_it_is_asked() -> None:
    chat = chat_model()
    with pytest.raises(UserError, match="the model reads at most 512"):
        chat.check("x " * 600, "chain")
    with pytest.raises(UserError, match="120000 characters and the model reads at most 512"):
        chat.check("x " * 60_000, "chain")
    with pytest.raises(UserError, match="cannot hold them"):
        chat.prompt("x " * 60_000, "chain")
    (trace,) = chat.sample([Problem("p", "x " * 60_000, "1")], PARAMS, "chain")
    assert {(c.finish, c.token_ids) for c in trace.completions} == {("length", ())}


def test_replies_of_a_chat_model_keep_every_token() -> None:
    chat = chat_model()
    traces = chat.sample(PROBLEMS, replace(PARAMS, max_new_tokens=30), "chain")
    for number, trace in enumerate(traces):
        prompt = tuple(chat.prompt(PROBLEMS[number].question, "chain"))
        seed = derive_seed(PARAMS.seed, number)
        own = replace(PARAMS, max_new_tokens=30, seed=seed, stop=chat.stop_ids)
        (generations,) = Engine(chat.model).generate([Request(prompt, own)])
        for completion, generation in zip(trace.completions, generations, strict=True):
            assert completion.token_ids == generation.token_ids
            assert completion.logprobs == pytest.approx(generation.logprobs, abs=1e-4)
            assert completion.finish == generation.finish
            assert completion.cost.completion_tokens == len(generation.token_ids)
        assert trace.prompt_cost.prompt_tokens == len(prompt)

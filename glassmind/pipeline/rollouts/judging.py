"""Rewards that ask a model: what each need of a reward is fulfilled by.

A reward whose ``needs`` name a judge gets completions that the judge has scored. The judge reads
all completions of a set of samples at once, before they are rewarded one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.pipeline.reward_models import load_reward_model
from glassmind.reason.needs import Need
from glassmind.reason.verify import verify_function
from glassmind.records import Problem, Trace

Judge = Callable[[Sequence[Problem], Sequence[Trace]], list[Trace]]
"""Returns traces with scores."""


def verifier_judge(llm: LocalLLM) -> Judge:
    """The verifier of the run that training starts from. It is not trained along.

    Raises:
        UserError: that run has none.
    """
    scorer, tokenizer = llm.scorer, llm.tokenizer
    if scorer is None:
        raise UserError(
            f"the reward verifier needs a verifier, and {llm.name} has none: start from a run of "
            "glassmind ladder or glassmind demo, or choose another options.reward"
        )
    scorer.to(llm.model.embed.weight.device).requires_grad_(False)
    verify = verify_function(llm)
    return lambda problems, traces: verify(scorer, tokenizer, problems, traces)


REWARD_MODEL: Need = "reward-model"
JUDGES: Mapping[Need, Callable[[LocalLLM], Judge]] = {"verifier": verifier_judge}


def reward_model_judge(source: str, llm: LocalLLM) -> Judge:
    """The reward model in the run ``source``.

    Raises:
        UserError: there is none, or it cannot read what ``llm`` writes.
    """
    if not source:
        raise UserError(
            "the reward reward-model needs the run of a reward model, which `glassmind train "
            "reward-model` makes: name it by options.reward_model (of pairs: "
            "preferences.reward_model)"
        )
    found = load_reward_model(source)
    found.require_tokenizer_of(llm)
    found.scorer.to(llm.model.embed.weight.device)
    return partial(found.judge, llm)


def judges_for(needs: Collection[Need], llm: LocalLLM, reward_model: str = "") -> list[Judge]:
    """The judges that fulfil all ``needs``, in a fixed order; ``reward_model`` is the run of one.

    Raises:
        UserError: the model lacks one, or nothing here fulfils a need.
    """
    unknown = sorted(set(needs) - {*JUDGES, REWARD_MODEL})
    if unknown:
        raise UserError(
            f"options.reward needs {', '.join(unknown)}, which training does not offer: choose a "
            "reward that needs nothing else"
        )
    judges = [make(llm) for need, make in JUDGES.items() if need in needs]
    if REWARD_MODEL in needs:
        judges.append(reward_model_judge(reward_model, llm))
    elif reward_model:
        raise UserError(f"no reward asks the reward model {reward_model}: leave it out")
    return judges

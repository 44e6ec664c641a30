"""``[options]`` of recipes that learn from reward; all of them for ``objective = "grpo"``."""

from __future__ import annotations

from dataclasses import dataclass

from glassmind.data.problems.curriculum import CurriculumName
from glassmind.runs.recipe import MOST_SAMPLES
from glassmind.train.objectives.policy.advantages import Advantage
from glassmind.train.objectives.policy.options import PolicyOptions


@dataclass(frozen=True, kw_only=True)
class RolloutOptions(PolicyOptions):
    """How completions are drawn and rewarded, and, in ``PolicyOptions``, what is learned from them.

    A set of samples is ``questions`` problems with ``group`` completions each; ``passes`` steps are
    taken on it. A set is divided into ``train.accumulate`` parts, all of which make one step.
    ``reward`` is a reward of ``glassmind methods`` or a sum of several, and no reward may take
    longer than ``reward_seconds`` for one completion. ``reward_model`` is the run of a reward
    model, if that is one of them.

    ``curriculum`` is the order of the questions: in turn, or by how often they are solved
    (``data.problems.curriculum``). ``resample`` is the number of times that further questions are
    drawn in the place of those whose completions all have the same reward (DAPO's dynamic sampling;
    0 keeps them). ``overlong`` lowers the reward of completions that come close to
    ``sampling.max_new_tokens``: by 0 at this many tokens below it, growing to 1 at the limit
    (DAPO's soft penalty; 0 is off). ``mask_truncated`` learns nothing from completions that were
    cut at the limit.

    At every logged step, ``watch`` held-out problems are answered greedily and graded exactly,
    always the same ones (``watched``); the replies to the first are kept in ``watched.jsonl``.

    ``allow_cut`` allows ``sampling.top_k`` and ``top_p``, which are refused otherwise: they sample
    from another distribution than the one that is trained (docs/COLLAPSES.md shows what follows).

    With ``normalisation = "constant"``, a ``constant_length`` of 0 is ``sampling.max_new_tokens``.
    """

    questions: int = 16
    group: int = 8
    passes: int = 1
    reward: str = "answer"
    reward_seconds: float = 30.0
    reward_model: str = ""
    resample: int = 0
    curriculum: CurriculumName = "uniform"
    overlong: int = 0
    mask_truncated: bool = False
    watch: int = 16
    allow_cut: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.group <= MOST_SAMPLES:
            raise ValueError(f"group must be 1 to {MOST_SAMPLES}, not {self.group}")
        least_values = {"questions": 1, "passes": 1, "resample": 0, "overlong": 0, "watch": 0}
        for name, least in least_values.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not self.reward_seconds > 0:
            raise ValueError(f"reward_seconds must be above 0, not {self.reward_seconds}")


@dataclass(frozen=True, kw_only=True)
class GRPOOptions(RolloutOptions):
    """``RolloutOptions``, and with ``advantage`` how the rewards of a group are compared
    (``policy.advantages``)."""

    advantage: Advantage = "grpo"

    def __post_init__(self) -> None:
        if not 2 <= self.group <= MOST_SAMPLES:
            raise ValueError(
                f"group must be 2 to {MOST_SAMPLES}, not {self.group}: a completion is compared "
                "with the others of its group"
            )
        super().__post_init__()
        if self.advantage == "gdpo" and self.kl_in_reward:
            raise ValueError(
                'advantage = "gdpo" gives every part of the reward the same spread, so kl would '
                'have no weight in it: set kl_place = "loss"'
            )

"""From sampled traces to groups with rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.judging import Judge, judges_for
from glassmind.reason.reward_scoring import score_all
from glassmind.reason.reward_sum import RewardSum
from glassmind.reason.rewards import answer
from glassmind.records import Completion, Problem, Trace

OVERLONG = "overlong"


@dataclass(frozen=True)
class Rewarding:
    """Judges and rewards completions.

    ``overlong`` is the number of tokens below ``most_tokens``, the longest completion, in which the
    soft penalty grows (0: there is none).
    """

    llm: LocalLLM
    reward: RewardSum
    judges: tuple[Judge, ...]
    seconds: float
    overlong: int
    most_tokens: int

    @classmethod
    def of(
        cls,
        llm: LocalLLM,
        reward: RewardSum,
        *,
        seconds: float,
        overlong: int,
        most_tokens: int,
        reward_model: str = "",
    ) -> Rewarding:
        """With the judges that the rewards need; ``reward_model`` is the run of one.

        Raises:
            UserError: ``llm`` has no such judge.
        """
        judges = tuple(judges_for(reward.needs, llm, reward_model))
        return cls(llm, reward, judges, seconds, overlong, most_tokens)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rewards, as they are logged."""
        return (*self.reward.names, *([OVERLONG] if self.overlong else []))

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each in the sum."""
        return (*self.reward.weights, *([1.0] if self.overlong else []))

    def groups(self, problems: Sequence[Problem], traces: Sequence[Trace]) -> list[Group]:
        """One group for each problem.

        Raises:
            UserError: a reward fails (``reason.reward_scoring``).
        """
        for judge in self.judges:
            traces = judge(problems, traces)
        return [self._group(*pair) for pair in zip(problems, traces, strict=True)]

    def _group(self, problem: Problem, trace: Trace) -> Group:
        completions = trace.completions
        found = score_all(self.reward.rewards, problem, completions, seconds=self.seconds)
        prompt = tuple(self.llm.prompt(problem.question, self.llm.style))
        right = tuple(answer.score(problem, completion) == 1.0 for completion in completions)
        group = Group(problem, prompt, completions, found, right)
        if self.overlong:
            group = group.with_reward([self._overlong(one) for one in completions])
        return group

    def _overlong(self, completion: Completion) -> float:
        """0 up to ``most_tokens - overlong`` tokens, then falling to -1 (DAPO: Yu et al. 2025,
        arXiv 2503.14476, equation 13)."""
        beyond = len(completion.token_ids) - (self.most_tokens - self.overlong)
        return -min(max(beyond / self.overlong, 0.0), 1.0)

"""Learning from reward in miniature: a source that samples, an objective with a reference model.

    python rollouts.py FOLDER STEPS      a run in a process of its own, to be killed

The model is rewarded for even tokens. Everything that the trainer knows nothing about is here: what
a rollout is, two columns (advantage, old log-probability), and a reference model that follows the
policy, all of which a checkpoint has to keep.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.generate import Engine, Generation, Request, SamplingParams, derive_seed
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.progress import Progress, Silent
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Batch, Loss, Objective, State, Trainer
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.state import Saved

VOCAB, ROW, PROMPTS, GROUP, NEW_TOKENS = 12, 24, 4, 4, 5

ADVANTAGE = Column("advantage", "float32", 0.0)
OLD_LOGPROB = Column("old_logprob", "float32", 0.0)


class Rollouts:
    """Groups of samples from the policy as it is now; a token's advantage is its sample's reward,
    less the moving average of the rewards for the same prompt."""

    def __init__(self, policy: Transformer, seed: int) -> None:
        self.policy, self.seed = policy, seed
        self.drawn = 0
        self.baseline = torch.zeros(VOCAB)  # by the prompt's last token

    def next(self) -> PackedRows:
        prompts = [((self.drawn + n) % VOCAB, n) for n in range(PROMPTS)]
        requests = [
            Request(
                (1, last),
                SamplingParams(
                    max_new_tokens=NEW_TOKENS,
                    samples=GROUP,
                    seed=derive_seed(self.seed, self.drawn + n),
                ),
            )
            for last, n in prompts
        ]
        # A new engine, for an old one would remember keys and values of earlier weights.
        engine = Engine(self.policy, max_rows=64, max_cache_bytes=1 << 20)
        groups = engine.generate(requests)
        documents = [
            self._document(last, group) for (last, _), group in zip(prompts, groups, strict=True)
        ]
        self.drawn += PROMPTS
        return pack(documents, ROW, pad_id=0)

    def _document(self, last: int, group: list[Generation]) -> Document:
        """A prompt and its samples as branches."""
        rewards = [sum(token % 2 == 0 for token in g.token_ids) / NEW_TOKENS for g in group]
        expected = float(self.baseline[last])
        self.baseline[last] += 0.2 * (sum(rewards) / GROUP - expected)
        lengths = [len(g.token_ids) for g in group]

        def along(prompt: float, values: list[float]) -> list[float]:
            """A value for each of the prompt's two tokens, and one for each sample's."""
            return [prompt] * 2 + list(np.repeat(values, lengths))

        return Document(
            ids=np.array([1, last] + [t for g in group for t in g.token_ids], np.int32),
            columns={
                COMPLETION: np.array(along(False, [True] * GROUP)),
                ADVANTAGE: np.array(along(0.0, [reward - expected for reward in rewards])),
                OLD_LOGPROB: np.array([0.0, 0.0] + [x for g in group for x in g.logprobs]),
            },
            branches=np.array(along(0, list(range(1, GROUP + 1))), np.int16),
        )

    def state(self) -> State:
        return {"drawn": self.drawn, "baseline": self.baseline}

    def restore(self, state: State) -> None:
        self.drawn = int(state["drawn"])
        self.baseline = state["baseline"].clone()


class Average:
    """A moving average that the objective keeps."""

    def __init__(self, rate: float) -> None:
        self.rate, self.value = rate, 0.0

    def add(self, x: float) -> None:
        self.value += self.rate * (x - self.value)

    def state(self) -> State:
        return {"value": self.value}

    def restore(self, state: State) -> None:
        self.value = float(state["value"])


class Reinforce(Objective):
    """L = mean over sampled tokens of  -A p / p_old + β (log p - log p_reference)²

    The reference is a moving average of the policy. A share of the tokens, ``dropped`` by a random
    generator of the objective's own, is left out. β follows the distance at the rate ``adapt``.
    """

    module: Transformer

    def __init__(self, policy: Transformer, dropped: float, adapt: float) -> None:
        self.module, self.dropped = policy, dropped
        self.reference = copy.deepcopy(policy).requires_grad_(False)
        self.noise = torch.Generator().manual_seed(5)
        self.distance = Average(adapt)

    @property
    def saved(self) -> Mapping[str, Saved]:
        return {"reference": self.reference, "noise": self.noise, "distance": self.distance}

    def weight(self, batch: Batch) -> float:
        return float(np.count_nonzero(batch.rows[COMPLETION]))

    def loss(self, batch: Batch) -> Loss:
        at = batch.indices(batch.rows[COMPLETION])
        logp_N = token_logprobs(self.module, batch, at)
        with torch.no_grad():
            reference_N = token_logprobs(self.reference, batch, at)
        kept_N = torch.rand(len(logp_N), generator=self.noise) >= self.dropped
        ratio_N = (logp_N - batch[OLD_LOGPROB][at]).exp()
        far_N = (logp_N - reference_N).square()
        if self.module.training:
            self.distance.add(float(far_N.detach().mean()))
        beta = 0.02 + self.distance.value
        loss = ((-batch[ADVANTAGE][at] * ratio_N + beta * far_N) * kept_N).mean()
        even = (batch.ids[at] % 2 == 0).float().mean()
        return loss, {"reward": even, "off_policy": (ratio_N.detach() - 1).abs().mean()}

    @torch.no_grad()
    def after_step(self) -> None:
        pairs = zip(self.reference.parameters(), self.module.parameters(), strict=True)
        for reference, policy in pairs:
            reference.lerp_(policy, 0.1)


def token_logprobs(model: Transformer, batch: Batch, at: tuple[Tensor, Tensor]) -> Tensor:
    """log p (N,) of the tokens at (row, column), each given those before it."""
    hidden = model.hidden(batch.ids, positions=batch.positions, mask=batch.mask)
    logp_BTV = model.unembed(hidden).log_softmax(dim=-1)
    rows, columns = at
    return logp_BTV[rows, batch.previous[rows, columns], batch.ids[rows, columns]]


def make_trainer(
    folder: Path | None,
    steps: int,
    *,
    dropped: float = 0.2,
    adapt: float = 0.1,
    accumulate: int = 2,
    progress: Progress | None = None,
    group: ProcessGroup | None = None,
) -> Trainer:
    """Everything fresh, as any process makes it."""
    torch.manual_seed(3)
    attention = AttentionConfig(n_heads=2)
    policy = Transformer(
        ModelConfig(vocab_size=VOCAB, max_tokens=16, d_model=16, n_layers=1, attention=attention)
    )
    config = TrainConfig(
        steps=steps,
        accumulate=accumulate,
        log_every=1,
        warmup=2,
        muon_lr=0.05,
        adamw_lr=0.02,
        checkpoint_minutes=0.0,  # after every step
        precision="float32",
        compile="off",
    )
    return Trainer(
        Reinforce(policy, dropped, adapt),
        Rollouts(policy, seed=1),
        config,
        stage="reinforce",
        folder=folder,
        progress=progress,
        group=group,
    )


class PrintSteps(Silent):
    def update(self, done: int, **figures: float) -> None:
        print(f"step {done}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_trainer(Path(sys.argv[1]), int(sys.argv[2]), progress=PrintSteps()).train()

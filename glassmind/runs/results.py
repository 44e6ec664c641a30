"""Records of a run in small files, which later stages and the report read back.

``write_record`` and ``read_record`` (``glassmind.serialization``) write and read them. Fields that
a kind of run does not know keep their defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunInfo:
    """``run.json``: where, when and with which versions the run was made.

    ``created`` is in UTC. ``machine`` names the processor, its vector instructions, the threads
    and the system; ``versions`` has the versions of the libraries. ``seconds`` is how long each
    stage took.
    ``id`` is the run's own, which its checkpoints repeat. ``changes`` says what was different each
    time that the run was gone on with.
    """

    commit: str = ""
    seed: int = 0
    created: str = ""
    machine: dict[str, str | int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    id: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """``validation.json``: a model's loss on held-out data, after its training.

    ``validation_loss`` is in nats a token. Pretraining adds ``bits_per_byte`` and the size of its
    held-out text; fine-tuning adds the loss ``before`` it and the number ``n`` of examples.
    """

    validation_loss: float | None = None
    bits_per_byte: float | None = None
    tokens: int | None = None
    bytes: int | None = None
    before: float | None = None
    n: int | None = None

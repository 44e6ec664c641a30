"""A tree of dataclasses that has every type a recipe may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from glassmind.errors import UserError


@dataclass(frozen=True)
class Experts:
    count: int
    active: int = 2


@dataclass(frozen=True)
class Model:
    d_model: int = 128
    n_heads: int = 4
    positions: Literal["rope", "learned", "sinusoidal"] = "rope"
    experts: Experts | None = None

    def __post_init__(self) -> None:
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} must be a multiple of n_heads {self.n_heads}")


@dataclass(frozen=True)
class Stage:
    steps: int = 100
    lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.95)
    compile: bool | None = True
    layers: Literal[2, 4] | str = 2


@dataclass(frozen=True)
class Recipe:
    name: str = "demo"
    seed: int | None = None
    out: Path | None = None
    families: tuple[str, ...] = ("buying",)
    sizes: tuple[int, ...] | None = None
    model: Model = field(default_factory=Model)
    stages: tuple[Stage, ...] = (Stage(), Stage(steps=200))
    loss_scale: float | Literal["auto"] = "auto"


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    return str(caught.value)

"""Several processes against one: the same losses, weights and state, and one voice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from collective_bytes import CollectiveBytes
from interrupt import Stop
from numpy.typing import NDArray
from processes import needs_gloo, together
from torch import Tensor
from torch.distributed.tensor import DTensor

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import Document, pack
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.model.config import ExpertsConfig, FeedForwardConfig
from glassmind.progress import Silent
from glassmind.runs import checkpoint
from glassmind.runs.recipe import TrainConfig
from glassmind.train import SupervisedFineTuning, Trainer
from glassmind.train.processes.launch import launched
from glassmind.train.watching.metrics_file import CLOCK_FIELDS

pytestmark = needs_gloo
Array = NDArray[Any]

CONFIG = TrainConfig(
    steps=6,
    batch_rows=4,
    row_tokens=16,
    accumulate=2,
    warmup=2,
    log_every=1,
    validate_every=3,
    checkpoint_minutes=0.0,  # after every step
    keep_checkpoints=10,
    weight_decay=0.01,
    clip=0.5,
    precision="float32",
    compile="off",
)
MODEL = ModelConfig(
    vocab_size=31, max_tokens=16, d_model=16, n_layers=2, attention=AttentionConfig(n_heads=2)
)
SPARSE = replace(
    MODEL,
    feed_forward=FeedForwardConfig("swiglu"),
    experts=ExpertsConfig(n_experts=4, n_active=2, d_hidden=8),
)
CLOSE = {"rtol": 2e-4, "atol": 2e-5}  # the order of additions, through 6 steps of Muon


def uneven_rows() -> Any:
    """Rows with very different numbers of learned tokens, some with hardly any."""
    random = np.random.default_rng(0)
    documents = []
    for number in range(24):
        ids = random.integers(0, 31, 16).astype(np.int32)
        written = np.arange(16) >= (15 if number % 3 else 2)
        documents.append(Document(ids, {COMPLETION: written}))
    return pack(documents, 16, pad_id=0)


def train(
    parallel: str, folder: Path | None, config: TrainConfig, model: ModelConfig, stop: int = 0
) -> dict[str, Any]:
    """Train in this process's group; whole weights and optimizer state, and the metrics."""
    torch.set_num_threads(1)
    with launched() as launch:
        device = torch.device("cpu")
        group = launch.join(parallel, device)  # type: ignore[arg-type]
        group.check_config(config)
        torch.manual_seed(7)
        objective = SupervisedFineTuning(Transformer(model))
        trainer = Trainer(
            objective,
            RowLoader(uneven_rows(), config.batch_rows, seed=1),
            config,
            stage="sft",
            folder=folder,
            progress=Stop(stop) if stop else Silent(),
            group=group,
        )
        try:
            trainer.train()
        except KeyboardInterrupt:
            return {}
        named = dict(objective.module.named_parameters())
        return {
            "weights": {name: whole(p) for name, p in named.items()},
            "optimizer": {name: whole(t) for name, t in trainer.optimizers.state().items()},
            "tokens": trainer.counters.tokens,
            "sharded": sum(isinstance(p, DTensor) for p in named.values()),
            "random": torch.get_rng_state().numpy(),
        }


def whole(tensor: Tensor) -> Array:
    """All of a tensor, as what can be sent from one process to another without fuss."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().numpy().copy()


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(s).items() if k not in CLOCK_FIELDS} for s in lines]


def run(size: int, parallel: str, folder: Path, *, model: ModelConfig = MODEL, stop: int = 0,
        config: TrainConfig = CONFIG) -> list[dict[str, Any]]:  # fmt: skip
    folder.mkdir(exist_ok=True)
    results = together(size, train, parallel, folder, config, model, stop)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def assert_equal(one: dict[str, Array], two: dict[str, Array]) -> None:
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("alone")
    return train("none", folder, CONFIG, MODEL), folder


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_train_as_one(
    size: int, parallel: str, alone: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    expected, folder = alone
    results = run(size, parallel, tmp_path / "run")
    for result in results:
        assert_equal(result["weights"], results[0]["weights"])  # to the bit, in all of them
        assert result["tokens"] == expected["tokens"]
        for name, weight in expected["weights"].items():
            np.testing.assert_allclose(result["weights"][name], weight, **CLOSE)
    assert (results[0]["sharded"] > 0) == (parallel == "fsdp")
    mine, single = rows(tmp_path / "run"), rows(folder)
    assert [row["step"] for row in mine] == [row["step"] for row in single]
    for row, other in zip(mine, single, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=2e-5)
        assert row["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=2e-4)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_looking_inside_tells_of_the_whole_and_changes_nothing(
    parallel: str, tmp_path: Path
) -> None:
    watched = replace(CONFIG, inspect_every=2)
    seen = run(2, parallel, tmp_path / "seen", config=watched)
    unseen = run(2, parallel, tmp_path / "unseen")
    assert_equal(seen[0]["weights"], unseen[0]["weights"])
    (tmp_path / "alone").mkdir()
    train("none", tmp_path / "alone", watched, MODEL)
    mine, single = (
        [row["inspection"] for row in rows(tmp_path / name) if "inspection" in row]
        for name in ("seen", "alone")
    )
    assert len(mine) == len(single) == 4
    for look, other in zip(mine, single, strict=True):
        for group in ("gradients", "updates"):
            # No ratio where a weight was zero before the step.
            told, expected = ({k: v or 0.0 for k, v in x[group].items()} for x in (look, other))
            assert told == pytest.approx(expected, rel=1e-2, abs=1e-4)
        assert len(look["residual"]) == len(other["residual"])


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_experts_are_balanced_by_what_all_processes_sent_them(
    parallel: str, tmp_path: Path
) -> None:
    expected = train("none", None, CONFIG, SPARSE)
    for result in run(2, parallel, tmp_path, model=SPARSE):
        for name, weight in expected["weights"].items():
            if name.endswith(".balance"):
                assert np.array_equal(result["weights"][name], weight)
                assert weight.any()
            np.testing.assert_allclose(result["weights"][name], weight, **CLOSE)


@pytest.mark.parametrize(("size", "parallel"), [(4, "ddp"), (2, "fsdp")])
def test_resumed_processes_are_the_uninterrupted_ones(
    size: int, parallel: str, tmp_path: Path
) -> None:
    straight = run(size, parallel, tmp_path / "straight")
    run(size, parallel, tmp_path / "stopped", stop=4)
    resumed = run(size, parallel, tmp_path / "stopped")
    for one, two in zip(straight, resumed, strict=True):
        assert_equal(one["weights"], two["weights"])
        assert_equal(one["optimizer"], two["optimizer"])
        assert np.array_equal(one["random"], two["random"])
    assert rows(tmp_path / "straight") == rows(tmp_path / "stopped")


def test_another_number_of_processes_goes_on(
    alone: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    expected, by_one = alone
    run(2, "fsdp", tmp_path, stop=4)
    first = sorted((tmp_path / "checkpoints/sft").iterdir())[0]
    shards = sorted(path.name for path in first.iterdir())
    assert [name.split("-")[:2] for name in shards[:2]] == [["shard", "00001"], ["shard", "00002"]]
    assert shards[2:] == ["state.json"]
    four = run(4, "fsdp", tmp_path)[0]  # from 2 to 4
    for name, weight in expected["weights"].items():
        np.testing.assert_allclose(four["weights"][name], weight, **CLOSE)
    # It is finished: whoever opens it now trains nothing, and has what was written, to the bit.
    alone_again = train("none", tmp_path, CONFIG, MODEL)
    for other in (run(2, "fsdp", tmp_path)[0], run(2, "ddp", tmp_path)[1], alone_again):
        assert_equal(four["weights"], other["weights"])
        assert_equal(four["optimizer"], other["optimizer"])
    shutil.copytree(by_one, tmp_path / "by-one")
    for result in run(4, "fsdp", tmp_path / "by-one"):  # and what one process wrote
        assert_equal(expected["weights"], result["weights"])
        assert_equal(expected["optimizer"], result["optimizer"])


def test_a_damaged_shard_sends_all_processes_back(tmp_path: Path) -> None:
    first = run(2, "fsdp", tmp_path)[0]
    shard = next((tmp_path / "checkpoints/sft/step-000006").glob("shard-00002-*"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match="checksum"):
        checkpoint.load(shard.parent)
    again = run(2, "fsdp", tmp_path)[0]  # from step 5
    assert_equal(first["weights"], again["weights"])


def test_bfloat16_shards_learn_like_one_process(tmp_path: Path) -> None:
    config = replace(CONFIG, precision="bfloat16")
    one = tmp_path / "one"
    one.mkdir()
    train("none", one, config, MODEL)
    run(2, "fsdp", tmp_path / "two", config=config)
    for row, other in zip(rows(tmp_path / "two"), rows(one), strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=5e-3)


def traffic(parallel: str, model: ModelConfig) -> dict[str, int]:
    """Bytes that the collectives of a second step move, in bfloat16 and with AdamW only."""
    torch.set_num_threads(1)
    with launched() as launch:
        group = launch.join(parallel, torch.device("cpu"))  # type: ignore[arg-type]
        torch.manual_seed(7)
        config = replace(CONFIG, precision="bfloat16", muon_lr=0.0, accumulate=2)
        loader = RowLoader(uneven_rows(), config.batch_rows, seed=1)
        objective = SupervisedFineTuning(Transformer(model))
        trainer = Trainer(objective, loader, config, stage="sft", group=group)
        trainer.take_step()
        with CollectiveBytes() as counter:
            trainer.take_step()
        return dict(counter.bytes)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_traffic_is_what_the_plan_says(parallel: str) -> None:
    from glassmind.plan.estimate import replica_bytes

    model, size = replace(MODEL, d_model=64), 2
    counted = together(size, traffic, parallel, model)[0]
    planned = replica_bytes(model, parallel, size, micro_batches=2)  # type: ignore[arg-type]
    for name, sent in planned.items():
        rounds = 2 if name == "all_reduce" else 1
        ring = rounds * counted[name] * (size - 1) / size
        assert sent == pytest.approx(ring, rel=0.02), (counted, planned)

"""Attention over blocks, compiled and gathered, against plain attention row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glassmind.generate.cache import gathered_attention, paged_attention
from glassmind.generate.cache.gathered_attention import attend_gathered
from glassmind.generate.cache.layout import BLOCK, LayerBlocks, Places
from glassmind.generate.cache.paged_attention import attend, empty_blocks, store
from glassmind.generate.packed import native
from glassmind.generate.packed.native_calls import STORED
from glassmind.model import Scoring
from glassmind.model.attention_kernels import explicit_attention
from glassmind.model.positions import AlibiBias

LENGTHS = (33, 7, 64, 100, 1)
NOWHERE = torch.empty(0, dtype=torch.int64)

needs_compiler = pytest.mark.skipif(
    native.library() is None, reason="there is no C++ compiler here"
)


class Case:
    """Rows of ``LENGTHS`` tokens in blocks that lie anywhere; the last tokens of each ask."""

    def __init__(
        self,
        kv_heads: int = 2,
        groups: int = 1,
        widths: tuple[int, ...] = (24, 40),
        asking: int = 1,
        dtype: torch.dtype = torch.float32,
        scoring: Callable[[int], Scoring] = lambda heads: Scoring(0.2),
    ) -> None:
        random = torch.Generator().manual_seed(0)
        longest = -(-max(LENGTHS) // BLOCK)
        n_blocks = len(LENGTHS) * longest + 3
        order = torch.randperm(n_blocks, generator=random)[: len(LENGTHS) * longest]
        self.tables = order.view(len(LENGTHS), longest).int()
        self.blocks = empty_blocks(n_blocks, kv_heads, widths, dtype, torch.device("cpu"))
        self.past = [
            tuple(torch.randn(n, kv_heads, width, generator=random) for width in widths)
            for n in LENGTHS
        ]
        for table, past in zip(self.tables, self.past, strict=True):
            places = torch.arange(len(past[0]))
            slots = table[places // BLOCK].long() * BLOCK + places % BLOCK
            store(self.blocks, past, Places(self.tables, NOWHERE, NOWHERE, slots))
        asked = [(r, n - i) for r, n in enumerate(LENGTHS) for i in range(min(n, asking))]
        rows = torch.tensor([row for row, _ in asked]).int()
        visible = torch.tensor([seen for _, seen in asked]).int()
        self.places = Places(self.tables, rows, visible, NOWHERE)
        self.queries = torch.randn(len(asked), kv_heads * groups, widths[0], generator=random)
        self.scoring = scoring(kv_heads * groups)

    def arguments(self) -> tuple[Tensor, LayerBlocks, Places, Scoring]:
        return (self.queries, self.blocks, self.places, self.scoring)


SCORINGS: dict[str, Callable[[int], Scoring]] = {
    "plain": lambda heads: Scoring(0.2),
    "window": lambda heads: Scoring(0.2, window=20),
    "narrow": lambda heads: Scoring(0.2, window=1),
    "alibi": lambda heads: Scoring(0.2, bias=AlibiBias(torch.arange(heads) / 8)),
}


def one_by_one(
    q_THE: Tensor, blocks: LayerBlocks, places: Places, scoring: Scoring
) -> tuple[Tensor, list[Tensor]]:
    """Each token by itself, its keys taken one by one: (T, H, F), and its weights (H, S)."""
    heads, kv_heads = q_THE.shape[1], blocks.keys.shape[1]
    out, all_weights = [], []
    for q_HE, row, visible in zip(q_THE, places.row_T, places.visible_T, strict=True):
        keys, values = [], []
        for token in range(int(visible)):
            block, place = places.tables_RW[row, token // BLOCK], token % BLOCK
            key_KE = blocks.keys[block, :, :, place].float()
            if blocks.key_scales is not None:
                key_KE = key_KE * blocks.key_scales[block, :, place, None]
            value_KF = key_KE
            if blocks.values is not None:
                value_KF = blocks.values[block, :, place].float()
                if blocks.value_scales is not None:
                    value_KF = value_KF * blocks.value_scales[block, :, place, None]
            keys.append(key_KE)
            values.append(value_KF)
        k_HSE = torch.stack(keys, 1).repeat_interleave(heads // kv_heads, 0)
        v_HSF = torch.stack(values, 1).repeat_interleave(heads // kv_heads, 0)
        distance_S = int(visible) - 1 - torch.arange(int(visible))
        scores_HS = (k_HSE @ q_HE[:, :, None])[..., 0] * scoring.scale
        if scoring.slopes_H is not None:
            scores_HS = scores_HS - scoring.slopes_H[:, None] * distance_S
        if scoring.window:
            scores_HS = scores_HS.masked_fill(distance_S >= scoring.window, -torch.inf)
        weights_HS = scores_HS.softmax(-1)
        all_weights.append(weights_HS)
        out.append((weights_HS[:, None] @ v_HSF)[:, 0])
    return torch.stack(out), all_weights


@pytest.mark.parametrize("dtype", STORED, ids=str)
@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("groups", [1, 2, 9])
@pytest.mark.parametrize("widths", [(24, 40), (32, 32), (20,)], ids=str)
def test_compiled_and_gathered_equal_the_formula(
    widths: tuple[int, ...], groups: int, scoring: str, dtype: torch.dtype
) -> None:
    case = Case(groups=groups, widths=widths, asking=3, scoring=SCORINGS[scoring], dtype=dtype)
    expected, _ = one_by_one(*case.arguments())
    for ours in (attend, attend_gathered):
        torch.testing.assert_close(ours(*case.arguments()), expected, rtol=1e-5, atol=1e-5)


def ragged(case: Case, counts: tuple[int, ...]) -> Case:
    """The case with another number of query tokens for each row, the rows in another order."""
    rows = [3, 0, 4, 1, 2]
    asked = [
        (r, LENGTHS[r] - n + i + 1) for r, n in zip(rows, counts, strict=True) for i in range(n)
    ]
    case.places = Places(
        case.tables,
        torch.tensor([row for row, _ in asked]).int(),
        torch.tensor([seen for _, seen in asked]).int(),
        NOWHERE,
    )
    generator = torch.Generator().manual_seed(7)
    case.queries = torch.randn(len(asked), *case.queries.shape[1:], generator=generator)
    return case


@pytest.mark.parametrize("most", [1 << 27, 1 << 14, 1])
@pytest.mark.parametrize("counts", [(100, 33, 1, 7, 64), (1, 1, 1, 1, 1), (5, 2, 1, 1, 3)], ids=str)
@pytest.mark.parametrize("scoring", SCORINGS)
def test_gathered_in_groups_and_pieces(
    scoring: str, counts: tuple[int, ...], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole prompts beside single tokens; the smallest bound makes every row a piece."""
    monkeypatch.setattr(gathered_attention, "MOST_GATHERED", most)
    case = ragged(Case(groups=2, scoring=SCORINGS[scoring]), counts)
    expected, weights = one_by_one(*case.arguments())
    torch.testing.assert_close(attend_gathered(*case.arguments()), expected, rtol=1e-5, atol=1e-5)
    seen: list[Tensor] = []
    halved = attend_gathered(*case.arguments(), tap=lambda w: seen.append(w) or w / 2)
    torch.testing.assert_close(halved, expected / 2, rtol=1e-5, atol=1e-5)
    [tapped_1HTS] = seen
    assert tapped_1HTS.shape[:3] == (1, 4, len(expected))
    for token, weights_HS in enumerate(weights):
        length = weights_HS.shape[1]
        torch.testing.assert_close(tapped_1HTS[0, :, token, :length], weights_HS)
        assert not tapped_1HTS[0, :, token, length:].any()


def test_what_lies_in_blocks_of_others_does_not_get_in() -> None:
    """A short row's table goes on with any block, which may hold anything, also no number."""
    case = Case(groups=2)
    expected = attend_gathered(*case.arguments())
    others = case.tables[3].long()
    rows = case.places.row_T != 3
    case.tables[1, 1:] = case.tables[3, 1:]
    assert case.blocks.values is not None
    case.blocks.keys[others] = torch.nan
    case.blocks.values[others] = torch.inf
    assert torch.equal(attend_gathered(*case.arguments())[rows], expected[rows])


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiler), False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_attend_as_one_piece_would(
    compiled: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(paged_attention, "calls", lambda: None)
    case = Case(groups=2, dtype=dtype)
    got = attend(*case.arguments())
    for row, past in enumerate(case.past):
        q, k, v = (
            part.transpose(0, 1)[None].float()
            for part in (case.queries[row : row + 1], *(p.to(dtype) for p in past))
        )
        everything = torch.ones(1, k.shape[2], dtype=torch.bool)
        expected = explicit_attention(q, k, v, everything, case.scoring.scale)[0, :, 0]
        torch.testing.assert_close(got[row], expected, rtol=1e-5, atol=1e-5)


@needs_compiler
def test_the_batch_around_a_token_changes_no_bit() -> None:
    case = Case(groups=3, asking=4)
    together = attend(*case.arguments())
    for token in range(len(together)):
        one = slice(token, token + 1)
        rows, seen = case.places.row_T[one], case.places.visible_T[one]
        mine = Places(case.tables, rows, seen, NOWHERE)
        alone = attend(case.queries[one], case.blocks, mine, case.scoring)
        assert torch.equal(alone[0], together[token])


@needs_compiler
def test_large_scores_and_numbers_that_are_none() -> None:
    case = Case()
    case.queries *= 1e4
    torch.testing.assert_close(
        attend(*case.arguments()), one_by_one(*case.arguments())[0], rtol=1e-4, atol=1e-4
    )
    case.queries[1] = torch.nan
    got = attend(*case.arguments())
    assert got[1].isnan().all()
    assert got[[0, 2, 3, 4]].isfinite().all()


def test_without_a_compiler_there_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for setting, value in (
        ("CXX", "no-such-compiler"),
        ("CXX", "false"),
        ("GLASSMIND_NATIVE", "0"),
        ("GLASSMIND_NATIVE", "false"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(setting, value)
            assert native.library.__wrapped__() is None
    assert not list(tmp_path.rglob("*.so"))


@pytest.fixture
def quick_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's source is one function, and it is kept in the folder that is returned."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "kernels.cpp").write_text('extern "C" int answer() { return 42; }')
    monkeypatch.setattr(native, "FOLDER", sources)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "glassmind" / "native"


def compiled_answer() -> int:
    loaded = native.library.__wrapped__()
    assert loaded is not None
    return int(loaded.answer())


def replaced(library: Path, content: bytes) -> None:
    library.unlink()  # what this process has loaded must stay as it is
    library.touch(0o700)
    library.write_bytes(content)


@needs_compiler
def test_a_library_is_compiled_once(quick_compiler: Path) -> None:
    assert compiled_answer() == 42
    [library] = quick_compiler.iterdir()
    assert library.stat().st_mode & 0o777 == 0o700
    before = library.stat().st_mtime_ns
    assert compiled_answer() == 42
    assert library.stat().st_mtime_ns == before


@needs_compiler
@pytest.mark.parametrize(
    "damage",
    [
        lambda library: replaced(library, library.read_bytes()[:4096]),
        lambda library: library.chmod(0o777),
        lambda library: library.symlink_to(library.rename(library.parents[1] / "elsewhere")),
    ],
    ids=["cut off", "open to others", "a link"],
)
def test_a_library_that_is_not_the_one_compiled_here_is_never_loaded(
    quick_compiler: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    assert compiled_answer() == 42
    [library] = quick_compiler.iterdir()
    damage(library)
    assert compiled_answer() == 42
    assert "is damaged or not this user's own; it is compiled again" in caplog.text
    [again] = quick_compiler.iterdir()
    assert again.stat().st_mode & 0o777 == 0o700
    assert not again.is_symlink()


@needs_compiler
def test_a_library_that_cannot_be_loaded_is_compiled_again(
    quick_compiler: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that was linked with a library which is no longer there."""
    assert compiled_answer() == 42
    [library] = quick_compiler.iterdir()
    name = library.stem.rpartition("-")[0]
    library.unlink()  # it is in use: changing the file would change what is mapped into memory
    library.write_bytes(b"not a library")
    library.chmod(0o700)
    library.rename(library.with_name(f"{name}-{native._checksum(library)}.so"))
    assert compiled_answer() == 42
    assert "cannot be loaded, and is compiled again" in caplog.text


def test_the_kernels_share_torchs_threads_whatever_else_is_loaded() -> None:
    lines = (
        "7f0a-7f0b r-xp 0 08:01 1   /env/sentencepiece.libs/libgomp-6a29c32d.so.1.0.0",
        "7f0c-7f0d r-xp 0 08:01 2   /env/torch/lib/libgomp.so.1",
        "7f0e-7f0f r-xp 0 08:01 3   /env/lib/libiomp5.so",
    )
    own = "/env/torch/lib/libgomp.so.1"
    assert native.thread_library_in("\n".join(lines), Path("/env/torch")) == own
    assert native.thread_library_in("\n".join(lines[::2]), Path("/env/torch")) is not None
    assert native.thread_library_in(lines[2], Path("/env/torch")) == "/env/lib/libiomp5.so"
    assert native.thread_library_in("", Path("/env/torch")) is None


@needs_compiler
def test_without_a_folder_of_its_own_the_library_is_compiled_for_this_process(
    quick_compiler: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick_compiler.parent.parent.mkdir()
    quick_compiler.parent.parent.chmod(0o777)
    assert compiled_answer() == 42
    assert "compiled anew each time: everybody can write to" in caplog.text
    assert not list(quick_compiler.glob("*"))


@needs_compiler
def test_what_the_compiler_says_is_passed_on(
    quick_compiler: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (native.FOLDER / "kernels.cpp").write_text("no C++")
    assert native.library.__wrapped__() is None
    assert "slower plain formulas" in caplog.text
    assert "error" in caplog.text


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiler), False])
def test_eight_bits_keep_each_vector_within_half_a_step(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(paged_attention, "calls", lambda: None)
    blocks = empty_blocks(4, 2, (24, 40), torch.int8, torch.device("cpu"))
    new = (torch.randn(5, 2, 24) * torch.tensor([1e-6, 1, 30, 0, 2])[:, None, None],
           torch.randn(5, 2, 40))  # fmt: skip
    slots = torch.tensor([3, 17, 16, 60, 0])
    store(blocks, new, Places(NOWHERE, NOWHERE, NOWHERE, slots))
    assert blocks.values is not None
    assert blocks.key_scales is not None
    assert blocks.value_scales is not None
    block, place = slots // BLOCK, slots % BLOCK
    for kept, scales, given in (
        (blocks.keys[block, :, :, place], blocks.key_scales[block, :, place], new[0]),
        (blocks.values[block, :, place], blocks.value_scales[block, :, place], new[1]),
    ):
        torch.testing.assert_close(scales, given.abs().amax(-1) / 127)
        error = (kept * scales[..., None] - given).abs()
        assert (error <= scales[..., None] * 0.5001).all()

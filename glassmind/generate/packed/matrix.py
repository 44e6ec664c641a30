"""A matrix of weights in 32, 16, 8 or 4 bits each, stored in the order in which they are used.

A model that answers one request spends its time reading its weights from memory, all of them for
every token. Half as many bits take half the time. The kinds:

* ``float32``: as trained; nothing is lost.
* ``bfloat16``: the upper half of a float32; 8 bits of precision.
* ``int8``: every 32 neighbouring weights of an output share a scale (bfloat16): weight =
  number * scale, with numbers from -127 to 127. 8.5 bits a weight.
* ``int4``: they share a smallest value, too: weight = number * scale + smallest, with numbers from
  0 to 15. 5 bits a weight.

Weights are rounded to the nearest number; no data is needed for it (compare GPTQ, Frantar et al.
2022, arXiv 2210.17323, and AWQ, Lin et al. 2023, 2306.00978, which adapt it to the inputs).

The inputs stay float32 for the first two kinds. For the integer kinds they are rounded to 16 bits,
with a scale for every 32, so that products are integers, which the processor multiplies two at a
time; compared with the rounding of the weights, the loss is negligible. ``kernels/matrix.hpp``
describes the memory layout, and why a row's result does not depend on the rest of the batch, to the
bit.

Shapes: N outputs, K inputs, P panels of 16 outputs, T tokens.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.generate.packed.native_calls import Matrix, at, calls
from glassmind.model.finite import require_finite

WeightKind = Literal["float32", "bfloat16", "int8", "int4"]
KINDS: tuple[WeightKind, ...] = get_args(WeightKind)

PANEL = 16
PAIR = 2 * PANEL  # panels come in pairs
GROUP = 32
_BITS: dict[WeightKind, int] = {"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4}
# Bytes per group of a panel in addition to its numbers: a scale for each output, for int4 also a
# smallest value, all bfloat16.
_SCALES: dict[WeightKind, int] = {
    "float32": 0, "bfloat16": 0, "int8": 2 * PANEL, "int4": 4 * PANEL,
}  # fmt: skip


class PackedMatrix:
    """``weight`` (N, K) and ``bias`` (N), packed as ``kind``.

    Raises ``UserError`` for weights that are not finite, ``ValueError`` for other shapes.
    """

    def __init__(self, weight: Tensor, kind: WeightKind, bias: Tensor | None = None) -> None:
        if weight.dim() != 2 or not weight.numel():
            raise ValueError(f"a matrix has rows and columns, not the shape {tuple(weight.shape)}")
        require_finite([weight], "the model")
        self.kind: WeightKind = kind
        self.outputs, self.inputs = weight.shape
        self.bias = None if bias is None else torch.empty(self.outputs)
        self._padded = self.inputs + -self.inputs % GROUP
        n_panels = (self.outputs + -self.outputs % PAIR) // PANEL
        # (P, bytes): a panel's numbers, then their scales. Padding stays 0.
        a_panel = self._padded * PANEL * _BITS[kind] // 8 + _SCALES[kind] * self._padded // GROUP
        self.panels = torch.zeros((n_panels, a_panel), dtype=torch.uint8)
        self.load(weight, bias)

    def load(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Replace the weights by others, which must be finite. Nothing moves in memory.

        Raises ``ValueError`` for other shapes.
        """
        if weight.shape != (self.outputs, self.inputs):
            raise ValueError(
                f"the weights have shape {tuple(weight.shape)}, not {(self.outputs, self.inputs)}"
            )
        if (bias is None) != (self.bias is None) or (
            bias is not None and bias.shape != (self.outputs,)
        ):
            raise ValueError("the bias must be as it was: one number an output, or none")
        if self.bias is not None and bias is not None:
            self.bias.copy_(bias)
        if self.kind == "float32":
            self._load_floats(weight, torch.float32)
        elif self.kind == "bfloat16":
            self._load_floats(weight, torch.bfloat16)
        else:
            rows = len(self.panels) * PANEL - self.outputs
            weight = F.pad(weight.detach().float(), (0, self._padded - self.inputs, 0, rows))
            pairs_NC, scales_NS = _to_integers(weight, _BITS[self.kind])
            split = self._padded * PANEL * _BITS[self.kind] // 8
            for part, numbers in (
                (self.panels[:, :split], pairs_NC),
                (self.panels[:, split:], scales_NS),
            ):
                by_panel = numbers.view(len(self.panels), PANEL, -1).transpose(1, 2)
                part.view(numbers.dtype).unflatten(1, (-1, PANEL)).copy_(by_panel)

    def _load_floats(self, weight: Tensor, dtype: torch.dtype) -> None:
        by_panel_PKN = self.panels.view(dtype).view(len(self.panels), self._padded, PANEL)
        whole, rest = divmod(self.outputs, PANEL)
        full = weight[: whole * PANEL].view(whole, PANEL, self.inputs)
        by_panel_PKN[:whole, : self.inputs].copy_(full.transpose(1, 2))
        if rest:
            by_panel_PKN[whole, : self.inputs, :rest].copy_(weight[whole * PANEL :].T)

    @property
    def n_bytes(self) -> int:
        """Bytes that the packed weights take."""
        return self.panels.numel()

    @functools.cached_property
    def native(self) -> Matrix:
        """This matrix as the compiled loops take it."""
        return Matrix(
            self.panels.data_ptr(), at(self.bias), self._padded, self.outputs,
            KINDS.index(self.kind),
        )  # fmt: skip

    def __call__(self, x_TK: Tensor) -> Tensor:
        """(T, K), of any floating-point type and on the CPU, -> (T, N), float32.

        Raises ``ValueError`` for inputs of another width.
        """
        if x_TK.dim() != 2 or x_TK.shape[1] != self.inputs or x_TK.device.type != "cpu":
            raise ValueError(
                f"the inputs are {tuple(x_TK.shape)} on {x_TK.device}, not (rows, {self.inputs}) "
                "on the CPU"
            )
        x_TK = x_TK.float()
        native = calls()
        if native is None or not len(x_TK):
            return F.linear(x_TK, self.unpack(), self.bias)
        x_TK = F.pad(x_TK, (0, self._padded - self.inputs)).contiguous()
        out_TN = torch.empty((len(x_TK), self.outputs))
        native.multiply_matrix(
            ctypes.byref(self.native), x_TK.data_ptr(), self._padded, len(x_TK), out_TN.data_ptr()
        )
        return out_TN

    def unpack(self) -> Tensor:
        """(N, K), float32: the weights as rounded, which the product uses."""
        by_panel_PKN = self._unpacked(lambda part: part)
        return by_panel_PKN.transpose(1, 2).flatten(0, 1)[: self.outputs, : self.inputs]

    def rows(self, ids_T: Tensor) -> Tensor:
        """(T, K): the rows of ``unpack()`` with these numbers."""
        panel_T, place_T = ids_T // PANEL, ids_T % PANEL
        by_row_TK1 = self._unpacked(lambda part: part[panel_T, :, place_T].unsqueeze(2))
        return by_row_TK1[:, : self.inputs, 0]

    def _unpacked(self, select: Callable[[Tensor], Tensor]) -> Tensor:
        """(P, K, PANEL), float32. ``select`` chooses from tensors with these dimensions first."""
        shape = (len(self.panels), -1, PANEL)
        if self.kind == "float32":
            return select(self.panels.view(torch.float32).view(shape))
        if self.kind == "bfloat16":
            return select(self.panels.view(torch.bfloat16).view(shape)).float()
        bits = _BITS[self.kind]
        split = self._padded * PANEL * bits // 8
        numbers, scales = self.panels[:, :split], self.panels[:, split:]
        by_bytes = numbers.view(torch.int8).view(*shape, 2)
        by_group = scales.view(torch.bfloat16).view(*shape)
        return _from_integers(select(by_bytes), select(by_group).float(), bits)


def _to_integers(weight_NK: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """A row's numbers, two bytes together as int16: (N, K / 2) for 8 bits, (N, K / 4) for 4; and
    bfloat16 scales (N, K / GROUP), for 4 bits (N, 2 K / GROUP), each followed by its smallest
    value."""
    grouped_NGK = weight_NK.view(len(weight_NK), -1, GROUP)
    if bits == 8:
        scale = -_bfloat16_below(-grouped_NGK.abs().amax(2, keepdim=True) / 127)
        scales, numbers = scale, grouped_NGK * _inverse(scale)
    else:
        least = _bfloat16_below(grouped_NGK.amin(2, keepdim=True))
        scale = -_bfloat16_below((least - grouped_NGK.amax(2, keepdim=True)) / 15)
        scales = torch.cat((scale, least), dim=2)
        numbers = (grouped_NGK - least).mul_(_inverse(scale))
    bytes_NK = numbers.round_().to(torch.int8).flatten(1)
    if bits == 4:  # inputs 0 and 1 in the lower halves of two bytes, 2 and 3 in the upper halves
        fours = bytes_NK.clamp_(0, 15).view(len(weight_NK), -1, 2, 2)
        bytes_NK = (fours[:, :, 0] | fours[:, :, 1] << 4).flatten(1)
    return bytes_NK.view(torch.int16), scales.bfloat16().flatten(1)


def _from_integers(numbers: Tensor, scales: Tensor, bits: int) -> Tensor:
    """The reverse of ``_to_integers``: (P, K, PANEL), float32, or fewer than PANEL outputs."""
    n_panels, _, width, _ = numbers.shape
    if bits == 4:
        numbers = torch.stack((numbers & 15, numbers.view(torch.uint8) >> 4), dim=2)
    pairs = numbers.reshape(n_panels, -1, width, 2).transpose(2, 3)
    values = pairs.reshape(n_panels, -1, GROUP, width).float()
    parts = scales.view(n_panels, values.shape[1], -1, width)
    least = parts[:, :, 1:] if bits == 4 else 0.0
    return (values * parts[:, :, :1] + least).flatten(1, 2)


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, 1 / scale, 0)


def _bfloat16_below(x: Tensor) -> Tensor:
    """The nearest bfloat16 that is not above ``x`` (float32), as float32."""
    bits = x.view(torch.int32)
    # A bfloat16 is the upper half of the bits. Cutting off the lower half makes a positive number
    # smaller; for a negative one the upper half must go up, if anything was cut off.
    return ((bits + ((bits >> 31) & 0xFFFF)) & -0x10000).view(torch.float32)

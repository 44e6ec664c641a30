"""Linear layers whose weights are frozen, and stored in 4 or 8 bits.

The weights of a layer that is no longer trained are only read. So they can be stored in few bits
and unpacked, one layer at a time, whenever the layer is called. There are two formats:

- ``nf4`` (Dettmers et al. 2023, QLoRA, arXiv 2305.14314): trained weights are close to normally
  distributed, so the sixteen values that four bits can name are the normal distribution's
  quantiles. The matrix is read row after row in blocks of 64 weights; each block is divided by its
  largest, c = max |w|, and rounded to the nearest level. The scales c alone would take half a bit
  per weight, so they are quantized as well ("double quantization"): their mean is subtracted, and
  they are stored in 8 bits, in blocks of 256 with a float each. (The paper uses an 8-bit float for
  this; here it is an integer.) 4.127 bits per weight.
- ``int8``: each row of the matrix is divided by its largest, times 127, and rounded. 8 bits per
  weight and a float per row.

The backward pass unpacks the weights again instead of keeping them from the forward pass: only the
gradient of the input is needed, dL/dx = dL/dy · W.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Quantization = Literal["nf4", "int8"]

BLOCK = 64  # weights that share a scale
SCALE_BLOCK = 256  # scales that share a scale of their own

# Appendix E of the paper: the quantiles of N(0, 1), eight above zero and seven below, divided by
# the largest, and zero itself.
NF4_LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


class QuantizedLinear(nn.Module):
    """A frozen replacement for ``linear``; its bias stays as it is.

    Its tensors are buffers that checkpoints do not contain: they are computed again from the model
    that a run starts from. ``kind`` is ``"nf4"`` or ``"int8"``.
    """

    packed: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, kind: Quantization) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.kind: Quantization = kind
        weight = linear.weight.detach().float()
        if not weight.isfinite().all():
            raise ValueError("a weight is not finite and cannot be quantized")
        parts = pack_nf4(weight) if kind == "nf4" else pack_int8(weight)
        self.register_buffer("packed", parts[0], persistent=False)
        self.scales: list[str] = []
        for number, part in enumerate(parts[1:]):
            self.scales.append(f"scale_{number}")
            self.register_buffer(self.scales[-1], part, persistent=False)
        bias = None if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias, persistent=False)

    @property
    def weight(self) -> Tensor:
        """The weights unpacked, (out, in), float32."""
        scales = [self.get_buffer(name) for name in self.scales]
        if self.kind == "nf4":
            levels, ranges, mean = scales
            shape = (self.out_features, self.in_features)
            return unpack_nf4(self.packed, levels, ranges, mean, shape)
        return unpack_int8(self.packed, scales[0])

    def n_bytes(self) -> int:
        """Bytes that the stored weights and their scales take."""
        stored = [self.packed, *(self.get_buffer(name) for name in self.scales)]
        return sum(buffer.numel() * buffer.element_size() for buffer in stored)

    def to_linear(self) -> nn.Linear:
        """An ordinary layer with the unpacked weights."""
        linear = nn.Linear(
            self.in_features,
            self.out_features,
            bias=self.bias is not None,
            device=self.packed.device,
        )
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out), in the precision of ``x``, or of autocast."""
        device = x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        out: Tensor = _FrozenLinear.apply(x, self)  # type: ignore[no-untyped-call]
        return out if self.bias is None else out + self.bias.to(out.dtype)


class _FrozenLinear(torch.autograd.Function):
    """x Wᵀ, with W unpacked when needed and forgotten again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        return F.linear(x, layer.weight.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor, None]:
        return dout @ ctx.layer.weight.to(dout.dtype), None


def pack_nf4(weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Any float tensor as NF4: ``packed`` (uint8, two weights each, the first in the high half),
    ``scales`` (int8, one a block), ``ranges`` (float32, one a block of scales) and ``mean``."""
    flat = weight.flatten()
    blocks = F.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    largest = blocks.abs().amax(dim=1)
    mean = largest.mean()
    grouped = F.pad(largest - mean, (0, -len(largest) % SCALE_BLOCK)).view(-1, SCALE_BLOCK)
    ranges = grouped.abs().amax(dim=1)
    scales = (grouped / _no_zero(ranges)[:, None] * 127).round().to(torch.int8)
    scales = scales.flatten()[: len(largest)].contiguous()
    # Rounded with the scales as unpacked, so that the error of the scales is not added.
    shares = (blocks / _no_zero(_nf4_scales(scales, ranges, mean))[:, None]).contiguous()
    levels = torch.tensor(NF4_LEVELS, device=weight.device)
    nearest = torch.bucketize(shares, (levels[1:] + levels[:-1]) / 2).to(torch.uint8).view(-1, 2)
    return (nearest[:, 0] << 4) | nearest[:, 1], scales, ranges, mean


def unpack_nf4(
    packed: Tensor, scales: Tensor, ranges: Tensor, mean: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """What ``pack_nf4`` packed, of ``shape``, float32."""
    levels = torch.tensor(NF4_LEVELS, device=packed.device)
    numbers = torch.stack((packed >> 4, packed & 15), dim=-1).view(-1, BLOCK)
    blocks = levels[numbers.int()] * _nf4_scales(scales, ranges, mean)[:, None]
    return blocks.flatten()[: torch.Size(shape).numel()].view(shape)


def _nf4_scales(scales: Tensor, ranges: Tensor, mean: Tensor) -> Tensor:
    """The scale of each block, float32."""
    return scales / 127 * ranges.repeat_interleave(SCALE_BLOCK)[: len(scales)] + mean


def pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) as int8 and a scale (float32) a row."""
    scales = weight.abs().amax(dim=1) / 127
    return (weight / _no_zero(scales)[:, None]).round().to(torch.int8), scales


def unpack_int8(packed: Tensor, scales: Tensor) -> Tensor:
    """What ``pack_int8`` packed, float32."""
    return packed * scales[:, None]


def _no_zero(scales: Tensor) -> Tensor:
    """The scales with 1 in place of 0, for dividing: a block of zeros stays zeros."""
    return scales.where(scales != 0, 1.0)

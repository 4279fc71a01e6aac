"""Adapters that PEFT lacks, in plain PyTorch from their published equations. One linear layer:

    y = gamma * (W0 x + delta(x) + b0 + beta)
"""

import math

import torch
from torch import Tensor, nn


class OneLora(nn.Module):
    """1LoRA (paper, Listing 1): b * sum(x); or b * (a . x) with a fixed a (ablation B.2)."""

    def __init__(self, linear: nn.Linear, a: Tensor | None = None) -> None:
        super().__init__()
        self.b = nn.Parameter(linear.weight.new_zeros(linear.out_features))
        if a is not None:
            self.register_buffer("a", a)

    def forward(self, x: Tensor) -> Tensor:
        compressed = x @ self.a if hasattr(self, "a") else x.sum(-1)
        return self.b * compressed.unsqueeze(-1)


def wrapped_groups(x: Tensor, size: int) -> Tensor:
    """x [..., k] as [..., n, size], its first features repeated at the end where size does not divide k."""
    missing = -x.shape[-1] % size
    return torch.cat([x, x[..., :missing]], dim=-1).unflatten(-1, (-1, size))


def tiled(y: Tensor, length: int) -> Tensor:
    """y repeated along its last axis and cut to the length."""
    return torch.cat([y] * math.ceil(length / y.shape[-1]), dim=-1)[..., :length]


class Mora1(nn.Module):
    """MoRA type 1 (sharing): z_q = sum_k x[k r + q]; y = M z, tiled and cut. r = round(sqrt(d_out)), half up."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.length = linear.out_features
        self.rank = self.rank_for(linear)
        self.M = nn.Parameter(linear.weight.new_zeros(self.rank, self.rank))

    def rank_for(self, linear: nn.Linear) -> int:
        return int(math.sqrt(linear.out_features) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return tiled(wrapped_groups(x, self.rank).sum(-2) @ self.M.T, self.length)


class Mora6(Mora1):
    """MoRA type 6 (rotary): group k is rotated by k * 10000^(-2q/r), half-split; every group goes through M."""

    def rank_for(self, linear: nn.Linear) -> int:
        return super().rank_for(linear) // 2 * 2

    def forward(self, x: Tensor) -> Tensor:
        groups = wrapped_groups(x, self.rank)
        k = torch.arange(groups.shape[-2], dtype=x.dtype)
        q = torch.arange(self.rank // 2, dtype=x.dtype)
        theta = k[:, None] * 10000.0 ** (-2 * q / self.rank)
        first, second = groups.chunk(2, dim=-1)
        cos, sin = theta.cos(), theta.sin()
        rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return tiled((rotated @ self.M.T).flatten(-2), self.length)


class AdaptedLinear(nn.Module):
    """gamma * (W0 x + delta(x) + b0 + beta), each part optional."""

    def __init__(self, linear: nn.Linear, delta: nn.Module | None, bias: bool, scale: bool) -> None:
        super().__init__()
        self.linear = linear
        self.delta = delta
        self.beta = nn.Parameter(linear.weight.new_zeros(linear.out_features)) if bias else None
        self.gamma = nn.Parameter(linear.weight.new_ones(linear.out_features)) if scale else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if self.delta is not None:
            y = y + self.delta(x)
        if self.beta is not None:
            y = y + self.beta
        return y if self.gamma is None else self.gamma * y

    @torch.no_grad()
    def merged(self) -> tuple[Tensor, Tensor]:
        """The weight and bias of the plain linear layer which computes the same: W e_i + b - (W 0 + b) = column i."""
        zero = self.linear.weight.new_zeros(self.linear.in_features)
        bias = self(zero)
        return (self(torch.eye(self.linear.in_features, dtype=zero.dtype)) - bias).T, bias

"""InceptionV3 as FID takes it (Szegedy et al. 2015; Heusel et al. 2017), written from the published architecture in plain
torch, with the names of pytorch-fid's and torchvision's state dicts; features of a small image under weights by a formula
that the test repeats.

Writes tests/fixtures/inception-v3.safetensors: `pixels` [2, 3, 20, 24], `features` [2, 2048].
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common import FIXTURES, normal, save


class Unit(nn.Module):
    def __init__(self, inside, outside, kernel, padding=0, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def average(x):
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Block(nn.Module):
    """Branches of named units; `pool` before `branch_pool`, or as a branch of its own."""

    def __init__(self, pool, branches, **units):
        super().__init__()
        self.pool, self.branches = pool, branches
        for name, arguments in units.items():
            setattr(self, name, Unit(*arguments))

    def forward(self, x):
        def walk(names, y):
            for name in names:
                # A tuple forks the path.
                y = torch.cat([walk([each], y) for each in name], 1) if isinstance(name, tuple) else getattr(self, name)(y)
            return y

        pooled = walk(["branch_pool"], self.pool(x)) if hasattr(self, "branch_pool") else self.pool(x)
        return torch.cat([walk(names, x) for names in self.branches] + [pooled], 1)


def block_a(n, pooled):
    return Block(
        average,
        [["branch1x1"], ["branch5x5_1", "branch5x5_2"], ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]],
        branch1x1=(n, 64, 1), branch5x5_1=(n, 48, 1), branch5x5_2=(48, 64, 5, 2), branch3x3dbl_1=(n, 64, 1),
        branch3x3dbl_2=(64, 96, 3, 1), branch3x3dbl_3=(96, 96, 3, 1), branch_pool=(n, pooled, 1),
    )


def halve(x):
    return F.max_pool2d(x, 3, stride=2)


def block_b(n):
    return Block(
        halve, [["branch3x3"], ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]],
        branch3x3=(n, 384, 3, 0, 2), branch3x3dbl_1=(n, 64, 1), branch3x3dbl_2=(64, 96, 3, 1),
        branch3x3dbl_3=(96, 96, 3, 0, 2),
    )


ROW, COLUMN = ((1, 7), (0, 3)), ((7, 1), (3, 0))


def block_c(n, c):
    return Block(
        average,
        [["branch1x1"], [f"branch7x7_{i}" for i in (1, 2, 3)], [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)]],
        branch1x1=(n, 192, 1), branch7x7_1=(n, c, 1), branch7x7_2=(c, c, *ROW), branch7x7_3=(c, 192, *COLUMN),
        branch7x7dbl_1=(n, c, 1), branch7x7dbl_2=(c, c, *COLUMN), branch7x7dbl_3=(c, c, *ROW),
        branch7x7dbl_4=(c, c, *COLUMN), branch7x7dbl_5=(c, 192, *ROW), branch_pool=(n, 192, 1),
    )


def block_d(n):
    return Block(
        halve, [["branch3x3_1", "branch3x3_2"], [f"branch7x7x3_{i}" for i in (1, 2, 3, 4)]],
        branch3x3_1=(n, 192, 1), branch3x3_2=(192, 320, 3, 0, 2), branch7x7x3_1=(n, 192, 1),
        branch7x7x3_2=(192, 192, *ROW), branch7x7x3_3=(192, 192, *COLUMN), branch7x7x3_4=(192, 192, 3, 0, 2),
    )


def block_e(n, pool):
    return Block(
        pool,
        [
            ["branch1x1"],
            ["branch3x3_1", ("branch3x3_2a", "branch3x3_2b")],
            ["branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")],
        ],
        branch1x1=(n, 320, 1), branch3x3_1=(n, 384, 1), branch3x3_2a=(384, 384, (1, 3), (0, 1)),
        branch3x3_2b=(384, 384, (3, 1), (1, 0)), branch3x3dbl_1=(n, 448, 1), branch3x3dbl_2=(448, 384, 3, 1),
        branch3x3dbl_3a=(384, 384, (1, 3), (0, 1)), branch3x3dbl_3b=(384, 384, (3, 1), (1, 0)), branch_pool=(n, 192, 1),
    )


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 0, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, 1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = block_a(192, 32), block_a(256, 64), block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (block_c(768, c) for c in (128, 160, 160, 192))
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280, average)
        self.Mixed_7c = block_e(2048, lambda x: F.max_pool2d(x, 3, stride=1, padding=1))

    def forward(self, x):
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        for name, module in self.named_children():
            x = module(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = halve(x)
        return x.mean((2, 3))


def spread(k, shape):
    """Numbers from -1 to 1: multiples of the golden ratio, modulo 1, by the place k of the tensor's name."""
    i = np.arange(np.prod(shape), dtype=np.int64)
    return torch.from_numpy((((i * 2654435761 + k * 40503) % 2**32) / 2**31 - 1).astype(np.float32)).reshape(shape)


@torch.no_grad()
def main():
    model = Inception().eval()
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    for k, name in enumerate(sorted(state)):
        value = spread(k, state[name].shape)
        if name.endswith("conv.weight"):
            value = value * np.float32(np.sqrt(6 / np.prod(value.shape[1:])))
        elif name.endswith(("bn.weight", "running_var")):
            value = 1 + value / 4
        else:
            value = value / 4
        state[name] = value
    model.load_state_dict(state, strict=False)
    pixels = normal(torch.Generator().manual_seed(0), (2, 3, 20, 24), 0.5).clamp(-1, 1)
    save(FIXTURES / "inception-v3.safetensors", {"pixels": pixels, "features": model.double()(pixels)})


main()

"""LoRA and DoRA with dropout on the ViT of tests/fixtures/vit-rgb: PEFT's training forward, given the masks that dsl/ops/dropout.ts
draws, which are computed here a second time. Writes tests/fixtures/dropout/.
"""

import math

import numpy
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adapters import VIT
from common import FIXTURES, save, single
from methods import METHODS, path_of

RATE = 0.3
STEP_KEY = (123456789, 2**32 - 5)
WORD = 2**32 - 1


def threefry(key: tuple[int, int], x0: int, x1: int) -> tuple[int, int]:
    """Threefry-2x32 with 20 rounds (dsl/random.ts)."""
    rotations = [13, 15, 26, 6, 17, 29, 16, 24]
    schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    a, b = (x0 + schedule[0]) & WORD, (x1 + schedule[1]) & WORD
    for i in range(20):
        by = rotations[i % 8]
        a = (a + b) & WORD
        b = (((b << by) | (b >> (32 - by))) & WORD) ^ a
        if i % 4 == 3:
            at = (i + 1) // 4
            a = (a + schedule[at % 3]) & WORD
            b = (b + schedule[(at + 1) % 3] + at) & WORD
    return a, b


def fold(key: tuple[int, int], name: str) -> tuple[int, int]:
    data = name.encode()
    key = threefry(key, WORD, len(data))
    for i in range(0, len(data), 8):
        words = [int.from_bytes(data[at : at + 4], "little") for at in (i, i + 4)]
        key = threefry(key, *words)
    return key


def mixed(x: numpy.ndarray) -> numpy.ndarray:
    """lowbias32."""
    x = (x ^ (x >> numpy.uint32(16))) * numpy.uint32(0x7FEB352D)
    x = (x ^ (x >> numpy.uint32(15))) * numpy.uint32(0x846CA68B)
    return x ^ (x >> numpy.uint32(16))


def mask(shape: torch.Size, path: str) -> Tensor:
    """1 with probability 1 - RATE, else 0."""
    salt = fold(fold((0, 0), "draw"), path)
    first, second = (numpy.uint32(word ^ own) for word, own in zip(STEP_KEY, salt))
    i = numpy.arange(math.prod(shape), dtype=numpy.uint32)
    draws = mixed(mixed(i * numpy.uint32(0x9E3779B9) + first) + second) >> numpy.uint32(8)
    return torch.from_numpy((draws >= round(RATE * 2**24)).astype(numpy.float64)).reshape(shape)


class Masked(nn.Module):
    """nn.Dropout(RATE) with a mask of its own."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x * mask(x.shape, self.path) / (1 - RATE)


def write(name: str, adapter: str) -> None:
    point = load_file(FIXTURES / "adapters" / f"{name}.safetensors")
    adapted = METHODS[name].adapt(VIT, VIT.load())
    for path, parameter in adapted.trainable.items():
        parameter.data.copy_(single(point[f"point.{path}"].double()))
    count = 0
    for path, module in adapted.model.named_modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = Masked(f"{path_of(VIT, path)}.{adapter}")
            count += 1
    assert count == VIT.count
    adapted.model.train()
    logits, loss = VIT.run(adapted.model)
    loss.backward()
    grads = {f"grad.{path}": parameter.grad for path, parameter in adapted.trainable.items()}
    save(FIXTURES / "dropout" / f"{name}.safetensors", {"logits": logits, "loss": loss, **grads})


if __name__ == "__main__":
    numpy.seterr(over="ignore")
    write("lora-r4", "lora")
    write("dora-r2", "dora")
    example = mask(torch.Size([4, 8]), "example.lora").to(torch.int32)
    save(FIXTURES / "dropout" / "mask.safetensors", {"mask": example})

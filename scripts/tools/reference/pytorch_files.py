"""Files of torch.save, honest and hostile, and the same tensors as safetensors.

Writes tests/fixtures/pytorch/ (README.md has the layout).
"""

import argparse
import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from common import FIXTURES, normal
from dit import DiT, Sizes, enliven

OUT = FIXTURES / "pytorch"


def save(name: str, value: object, **options: object) -> None:
    """torch.save without what differs from run to run."""
    OUT.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    (OUT / name).write_bytes(buffer.getvalue())


def rewrite(source: str, name: str, edit: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """A copy of an archive with other members."""
    with zipfile.ZipFile(OUT / source) as old, zipfile.ZipFile(OUT / name, "w", compression) as new:
        for info in old.infolist():
            member = info.filename.split("/", 1)[1]
            new.writestr(zipfile.ZipInfo(info.filename), edit.get(member, old.read(info)), compression)


class Program:
    """What a pickle does that runs a command when Python loads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo this must never run",)


def every_type() -> dict[str, Tensor]:
    """Every element type, views of every kind, a shared storage, a scalar and an empty tensor."""
    base = normal(torch.Generator().manual_seed(1), torch.Size([4, 6]), 2.0)
    whole = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    tensors = {
        "F64": base,
        "F32": base.float(),
        "F16": base.half(),
        "BF16": base.bfloat16(),
        "I64": torch.tensor([-(2**62), -1, 0, 2**31, 2**62]),
        "I32": torch.tensor([-(2**31), 7, 2**31 - 1], dtype=torch.int32),
        "I16": torch.tensor([-(2**15), 7], dtype=torch.int16),
        "I8": torch.tensor([-128, 127], dtype=torch.int8),
        "U8": torch.tensor([0, 255], dtype=torch.uint8),
        "BOOL": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "whole": whole,
        "rows": whole[1],
        "columns": whole[:, :, 1:3],
        "transposed": whole.permute(2, 0, 1),
        "half.transposed": base.half().t(),
        "bytes.every.other": torch.arange(9, dtype=torch.uint8)[1::2],
        "long.transposed": torch.arange(6).reshape(2, 3).t(),
    }
    return tensors


def types() -> None:
    tensors = every_type()
    save_file({name: each.contiguous().clone() for name, each in tensors.items()}, OUT / "types.safetensors")
    save("types.pt", tensors)
    save("types-legacy.pt", tensors, _use_new_zipfile_serialization=False)
    save("types-protocol-4.pt", tensors, pickle_protocol=4)


def model(name: str, original: dict[str, Tensor], published: dict[str, Tensor], config: dict[str, object]) -> None:
    """One folder with the file of PyTorch's, one with the tensors that shall be taken from it in safetensors."""
    for kind in ["original", "published"]:
        (OUT / f"{name}-{kind}").mkdir(exist_ok=True)
        (OUT / f"{name}-{kind}" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save(f"{name}-original/weights.pth", original)
    save_file({key: each.contiguous().clone() for key, each in published.items()}, OUT / f"{name}-published/model.safetensors")


def dit() -> None:
    """A training run's file: the model, its moving average, an optimiser's state and settings."""
    sizes = Sizes(hidden=12, layers=1, heads=2, sample=4, patch=2, channels=1, out_channels=2, classes=3)
    module, ema = DiT(sizes), DiT(sizes)
    enliven(module, seed=5)
    enliven(ema, seed=6)
    optimiser = torch.optim.AdamW([module.final_layer.linear.bias], lr=1e-4)
    module.final_layer.linear.bias.grad = torch.ones(8)
    optimiser.step()
    config = {
        "_class_name": "DiTTransformer2DModel",
        "attention_head_dim": 6,
        "downscale_freq_shift": 0,
        "fused_qkv": True,
        "in_channels": 1,
        "norm_eps": 1e-6,
        "num_attention_heads": 2,
        "num_embeds_ada_norm": 3,
        "num_layers": 1,
        "out_channels": 2,
        "patch_size": 2,
        "sample_size": 4,
    }
    training = {
        "model": module.state_dict(),
        "ema": ema.state_dict(),
        "opt": optimiser.state_dict(),
        "args": argparse.Namespace(epochs=1400, image_size=256, ckpt=None),
    }
    model("dit", training, ema.state_dict(), config)


def depth() -> None:
    """Depth Anything's metric files: the original names twice wrapped, on several GPUs, with bins on top."""
    source = torch_names(FIXTURES / "depth-metric")
    original = {f"module.core.core.{name}": each for name, each in source.items()}
    original["module.conv2.weight"] = torch.zeros(2, 2, 1, 1)
    original["module.attractors.0._net.0.weight"] = torch.zeros(2, 2, 1, 1)
    save("depth-original.pth", {"model": OrderedDict(original), "epoch": 5, "optimizer": None})


def torch_names(folder: Path) -> dict[str, Tensor]:
    """The tensors of a published Depth Anything under the names of its original repository."""
    from safetensors.torch import load_file

    held = load_file(folder / "model.safetensors")
    named: dict[str, Tensor] = {}
    for name, each in held.items():
        block = name.split(".")[3] if name.startswith("backbone.encoder.layer.") else None
        if block is not None and ".attention.attention." in name:
            kind = name.rsplit(".", 1)[1]
            stem = f"backbone.encoder.layer.{block}.attention.attention"
            fused = torch.cat([held[f"{stem}.{part}.{kind}"] for part in ["query", "key", "value"]])
            named[f"pretrained.blocks.{block}.attn.qkv.{kind}"] = fused
        else:
            named[renamed(name)] = each
    return named


def renamed(name: str) -> str:
    for here, there in [
        ("backbone.embeddings.patch_embeddings.projection", "pretrained.patch_embed.proj"),
        ("backbone.embeddings.position_embeddings", "pretrained.pos_embed"),
        ("backbone.embeddings.", "pretrained."),
        ("backbone.encoder.layer.", "pretrained.blocks."),
        ("attention.output.dense", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("backbone.layernorm", "pretrained.norm"),
        ("head.conv1", "depth_head.scratch.output_conv1"),
        ("head.conv2", "depth_head.scratch.output_conv2.0"),
        ("head.conv3", "depth_head.scratch.output_conv2.2"),
    ]:
        name = name.replace(here, there)
    for k in range(4):
        name = name.replace(f"neck.convs.{k}", f"depth_head.scratch.layer{k + 1}_rn")
        name = name.replace(f"neck.fusion_stage.layers.{3 - k}", f"depth_head.scratch.refinenet{k + 1}")
        name = name.replace(f"neck.reassemble_stage.layers.{k}.projection", f"depth_head.projects.{k}")
        name = name.replace(f"neck.reassemble_stage.layers.{k}.resize", f"depth_head.resize_layers.{k}")
    for unit in [1, 2]:
        name = name.replace(f"residual_layer{unit}.convolution", f"resConfUnit{unit}.conv")
    return name.replace(".projection.", ".out_conv.") if "refinenet" in name else name


def shards() -> None:
    """A folder of pytorch_model.bin's shards, as old repositories have them."""
    tensors = every_type()
    names = sorted(tensors)
    (OUT / "sharded").mkdir(exist_ok=True)
    files = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
    for file, some in files.items():
        save(f"sharded/{file}", {name: tensors[name].clone() for name in some})
    weight_map = {name: file for file, some in files.items() for name in some}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (OUT / "sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def hostile() -> None:
    """Files that must be refused, each for a reason of its own."""
    save("plain.pt", {"weight": torch.arange(4.0), "bias": torch.zeros(2)})
    save("hostile-command.pt", {"weight": torch.zeros(2), "run": Program()})
    torch.manual_seed(0)
    save("hostile-module.pt", nn.Linear(2, 2))
    rewrite("plain.pt", "hostile-big-endian.pt", {"byteorder": b"big"})
    rewrite("plain.pt", "hostile-short-storage.pt", {"data/0": b"\0" * 8})
    rewrite("plain.pt", "hostile-compressed.pt", {}, zipfile.ZIP_DEFLATED)
    (OUT / "hostile-truncated.pt").write_bytes((OUT / "plain.pt").read_bytes()[:-40])
    (OUT / "hostile-bare-command.pt").write_bytes(pickle.dumps(Program(), protocol=2))

    def with_pickle(name: str, data: bytes) -> None:
        rewrite("plain.pt", f"hostile-{name}.pt", {"data.pkl": data})

    with zipfile.ZipFile(OUT / "plain.pt") as archive:
        plain = next(archive.read(info) for info in archive.infolist() if info.filename.endswith("/data.pkl"))
    # (4,) and (1,) are the vector's shape and stride.
    shape, stride = b"K\x04\x85", b"K\x01\x85"
    assert plain.count(shape) >= 1 and plain.count(stride) >= 1
    with_pickle("huge-shape", plain.replace(shape, b"J\xff\xff\xff\x7f\x85", 1))
    with_pickle("stride-zero", plain.replace(shape, b"J\xff\xff\xff\x7f\x85", 1).replace(stride, b"K\x00\x85", 1))
    with_pickle("negative-stride", plain.replace(stride, b"J\xff\xff\xff\xff\x85", 1))
    doubled = b"]q\x00" + b"".join(b"](h" + bytes([k]) + b"h" + bytes([k]) + b"eq" + bytes([k + 1]) for k in range(200))
    with_pickle("doubling", b"\x80\x02" + doubled + b".")
    with_pickle("memo", b"\x80\x02}(X\x01\x00\x00\x00ah\xffu.")
    with_pickle("itself", b"\x80\x02}q\x00(X\x01\x00\x00\x00ah\x00u.")
    with_pickle("long-text", b"\x80\x02\x8d" + (2**62).to_bytes(8, "little") + b"a.")
    with_pickle("long-number", b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b"a.")
    with_pickle("empty", b"")
    with_pickle("dup", b"\x80\x02}2.")
    with_pickle("old-protocol", b"(dp0\n.")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    types()
    dit()
    depth()
    shards()
    hostile()

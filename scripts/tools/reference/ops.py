"""Values and gradients of PyTorch's operations on small random inputs, for tests/dsl/ops_reference_test.ts.

Run: python scripts/tools/reference/ops.py
Computed in float64 from float32 inputs; images are written as NHWC, weights as PyTorch stores them.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

torch.manual_seed(0)
cases = {}


def plain(t):
    t = t.detach()
    if not t.is_floating_point():
        return {"shape": list(t.shape), "dtype": "int32", "data": t.flatten().tolist()}
    # Eight digits: 1e-8 relative, far below the tolerance of the tests.
    data = [float(f"{v:.8g}") for v in t.flatten().numpy().astype(np.float32)]
    return {"shape": list(t.shape), "dtype": "float32", "data": data}


def case(name, f, constants=(), **inputs):
    """Records f(**inputs), a random dy and d(sum(dy f))/d(input) for all float inputs but `constants`."""
    leaves = {
        k: v.double().requires_grad_(k not in constants) if v.is_floating_point() else v for k, v in inputs.items()
    }
    value = f(**leaves)
    dy = torch.randn(value.shape)
    value.backward(dy.double())
    cases[name] = {
        "inputs": {k: plain(v) for k, v in inputs.items()},
        "value": plain(value),
        "dy": plain(dy),
        "gradients": {k: plain(v.grad) for k, v in leaves.items() if v.requires_grad},
    }


def nchw(t):
    return t.permute(0, 3, 1, 2)


def nhwc(t):
    return t.permute(0, 2, 3, 1)


# Activations; 0 is among the inputs.
x = torch.cat([torch.randn(29) * 3, torch.tensor([0.0, -6.0, 6.0])]).reshape(4, 8)
case("gelu", lambda x: F.gelu(x), x=x)
case("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), x=x)
case("silu", lambda x: F.silu(x), x=x)
case("relu", lambda x: F.relu(x), x=x)

# Normalisations.
x = torch.randn(2, 3, 8) * 2 + 1
weight, bias = torch.randn(8), torch.randn(8)
case("layer norm", lambda x, weight, bias: F.layer_norm(x, (8,), weight, bias, 1e-6), x=x, weight=weight, bias=bias)
case("layer norm without parameters", lambda x: F.layer_norm(x, (8,), eps=1e-12), x=x)
case("rms norm", lambda x, weight: F.rms_norm(x, (8,), weight, 1e-5), x=x, weight=weight)
x = torch.randn(2, 3, 2, 8) + 1
case(
    "group norm",
    lambda x, weight, bias: nhwc(F.group_norm(nchw(x), 4, weight, bias, 1e-6)),
    x=x,
    weight=weight,
    bias=bias,
)
case("group norm without parameters", lambda x: nhwc(F.group_norm(nchw(x), 2, eps=1e-5)), x=x)

# Attention.
sdpa = F.scaled_dot_product_attention
q, k, v = torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
case("attention", lambda q, k, v: sdpa(q, k, v), q=q, k=k, v=v)
case("causal attention", lambda q, k, v: sdpa(q, k, v, is_causal=True), q=q, k=k, v=v)
case(
    "attention with grouped keys, mask and scale",
    lambda q, k, v, mask: sdpa(q, k, v, attn_mask=mask, scale=0.7, enable_gqa=True),
    constants=("mask",),
    q=torch.randn(2, 4, 3, 4),
    k=torch.randn(2, 2, 5, 4),
    v=torch.randn(2, 2, 5, 4),
    mask=torch.randn(2, 1, 3, 5),
)
rope = LlamaRotaryEmbedding(LlamaConfig(hidden_size=16, num_attention_heads=2, head_dim=8, max_position_embeddings=64))


def rotary(x):
    cos, sin = rope(x, torch.tensor([[0, 1, 2, 40]]))
    return apply_rotary_pos_emb(x, x, cos, sin)[0]


case("rotary", rotary, x=torch.randn(2, 2, 4, 8))

# Convolutions.
x, bias = torch.randn(2, 5, 6, 3), torch.randn(4)


def conv(**options):
    return lambda x, weight, bias: nhwc(F.conv2d(nchw(x), weight, bias, **options))


case("conv 3x3", conv(padding=1), x=x, weight=torch.randn(4, 3, 3, 3), bias=bias)
case("conv 3x3 of stride 2", conv(stride=2, padding=1), x=x, weight=torch.randn(4, 3, 3, 3), bias=bias)
case("conv 2x3 without padding", conv(), x=x, weight=torch.randn(4, 3, 2, 3), bias=bias)
case("conv 1x1", conv(), x=x, weight=torch.randn(4, 3, 1, 1), bias=bias)
case("conv 1x1 of stride 2", conv(stride=2), x=x, weight=torch.randn(4, 3, 1, 1), bias=bias)
case(
    "conv padded right and below",
    lambda x, weight: nhwc(F.conv2d(F.pad(nchw(x), (0, 1, 0, 1)), weight, stride=2)),
    x=x,
    weight=torch.randn(2, 3, 3, 3),
)


def transposed(**options):
    return lambda x, weight, bias: nhwc(F.conv_transpose2d(nchw(x), weight, bias, **options))


x = torch.randn(2, 3, 2, 3)
case("transposed conv of stride = kernel", transposed(stride=2), x=x, weight=torch.randn(3, 4, 2, 2), bias=bias)
case("transposed conv", transposed(stride=2, padding=1), x=x, weight=torch.randn(3, 4, 3, 3), bias=bias)
case("transposed conv of stride 1", transposed(), x=x, weight=torch.randn(3, 4, 2, 3), bias=bias)


def patches(x, weight, bias):
    return F.conv2d(x, weight, bias, stride=2).flatten(2).transpose(1, 2)


weight = torch.randn(4, 3, 2, 2)
case("patch embedding", patches, x=torch.randn(2, 3, 4, 6), weight=weight, bias=bias)
case(
    "patch embedding of NHWC",
    lambda x, weight, bias: patches(nchw(x), weight, bias),
    x=torch.randn(2, 4, 6, 3),
    weight=weight,
    bias=bias,
)

# Interpolation.
x = torch.randn(2, 6, 5, 1)
for name, options in {
    "bilinear, corners aligned, up": dict(size=(11, 7), mode="bilinear", align_corners=True),
    "bilinear, corners aligned, down": dict(size=(4, 1), mode="bilinear", align_corners=True),
    "bilinear, up": dict(size=(9, 10), mode="bilinear", align_corners=False),
    "bilinear by factors": dict(scale_factor=(2.3, 0.7), mode="bilinear", align_corners=False),
    "nearest x 2": dict(scale_factor=(2.0, 2.0), mode="nearest"),
    "nearest x 3, x 1": dict(size=(18, 5), mode="nearest"),
    "nearest, any size": dict(size=(7, 3), mode="nearest"),
    "nearest by factors": dict(scale_factor=(1.7, 2.5), mode="nearest"),
    "bicubic": dict(size=(9, 4), mode="bicubic", align_corners=False),
    "bicubic by factors": dict(scale_factor=(9.1 / 6, 8.1 / 5), mode="bicubic", align_corners=False),
    "bicubic, corners aligned": dict(size=(9, 4), mode="bicubic", align_corners=True),
}.items():
    case(f"interpolate {name}", lambda x: nhwc(F.interpolate(nchw(x), **options)), x=x)

# Table look-up and losses.
ids = torch.tensor([[1, 4, 1], [0, 4, 4]], dtype=torch.int32)
case("embedding", lambda ids, table: F.embedding(ids, table), ids=ids, table=torch.randn(6, 4))
logits, labels = torch.randn(2, 3, 5) * 4, torch.tensor([[1, -100, 4], [0, 2, -100]], dtype=torch.int32)


def cross_entropy(**options):
    return lambda logits, labels: F.cross_entropy(logits.flatten(0, -2), labels.flatten().long(), **options)


case("cross entropy", cross_entropy(), logits=logits, labels=labels.abs() % 5)
case("cross entropy of large logits", cross_entropy(), logits=logits * 100, labels=labels.abs() % 5)
case("cross entropy with ignored labels", cross_entropy(), logits=logits, labels=labels)
case("cross entropy with smoothed labels", cross_entropy(label_smoothing=0.1), logits=logits, labels=labels)
case(
    "mean squared error",
    lambda prediction, target: F.mse_loss(prediction, target),
    constants=("target",),
    prediction=torch.randn(3, 4),
    target=torch.randn(3, 4),
)

# Weighed classes.
weights = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25])
case("cross entropy with class weights", cross_entropy(weight=weights.double()), logits=logits, labels=labels)
case(
    "binary cross entropy with weights",
    lambda x, targets: F.binary_cross_entropy_with_logits(x, targets, pos_weight=weights.to(x.dtype)),
    constants=("targets",),
    x=torch.randn(4, 5) * 4,
    targets=(torch.rand(4, 5) < 0.4).float(),
)

# Smaller pictures and larger ones, every pixel counted.
for name, size in {"smaller": (4, 3), "larger": (9, 7)}.items():
    options = dict(size=size, mode="bicubic", align_corners=False, antialias=True)
    case(f"interpolate bicubic with antialias, {name}", lambda x: nhwc(F.interpolate(nchw(x), **options)), x=torch.randn(2, 6, 5, 3))

# Activations of language models and of CLIP.
gate, up = torch.randn(4, 8) * 3, torch.randn(4, 8)
case("swiglu", lambda gate, up: F.silu(gate) * up, gate=gate, up=up)
case("quick gelu", lambda x: x * torch.sigmoid(1.702 * x), x=torch.randn(4, 8) * 3)

# Convolutions that look like simpler ones along one axis alone.
x = torch.randn(2, 5, 6, 3)
case(
    "conv padded like same above, below and left alone",
    lambda x, weight: nhwc(F.conv2d(F.pad(nchw(x), (1, 0, 1, 1)), weight)),
    x=x,
    weight=torch.randn(4, 3, 3, 3),
)
case(
    "transposed conv of stride = the kernel's width alone",
    transposed(stride=2),
    x=x,
    weight=torch.randn(3, 4, 3, 2),
    bias=torch.randn(4),
)

path = Path(__file__).parents[3] / "tests" / "fixtures" / "ops.json"
lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(c, separators=(',', ':'))}" for name, c in cases.items())
path.write_text("{\n" + lines + "\n}\n")
print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")

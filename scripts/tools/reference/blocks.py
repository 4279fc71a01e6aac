"""Weights in ggml's blocks and what they stand for, by llama.cpp's own Python package:

    python scripts/tools/reference/blocks.py

The forms of 32 numbers are quantised by it; those of 256 and IQ4_NL, which it only reads, are random blocks with scales of weights."""

import numpy
from gguf import GGMLQuantizationType as Form
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

from common import FIXTURES

SHAPE = (8, 512)
# Where in a block the halves are: the scale, and the minimum.
HALVES = {
    Form.Q2_K: ((80, 1e-2), (82, 1e-2)),
    Form.Q3_K: ((108, 1e-3),),
    Form.IQ4_NL: ((0, 1e-3),),
    Form.Q4_K: ((0, 1e-3), (2, 1e-2)),
    Form.Q5_K: ((0, 5e-4), (2, 1e-2)),
    Form.Q6_K: ((208, 1e-4),),
}
# Numbers and bytes of a block.
BLOCKS = {Form.Q2_K: (256, 84), Form.Q3_K: (256, 110), Form.IQ4_NL: (32, 18), Form.Q4_K: (256, 144), Form.Q5_K: (256, 176), Form.Q6_K: (256, 210)}

random = numpy.random.default_rng(0)
weight = (0.02 * random.standard_normal(SHAPE)).astype(numpy.float32)
tensors = {"weight": weight}
for form in (Form.Q4_0, Form.Q4_1, Form.Q5_0, Form.Q5_1, Form.Q8_0):
    tensors[f"{form.name.lower()}.bytes"] = quantize(weight, form)
for form, halves in HALVES.items():
    size, count = BLOCKS[form]
    own = random if form in (Form.Q4_K, Form.Q5_K, Form.Q6_K) else numpy.random.default_rng(int(form))
    blocks = own.integers(0, 256, (SHAPE[0], SHAPE[1] // size, count), dtype=numpy.uint8)
    for at, scale in halves:
        half = (scale * own.standard_normal(blocks.shape[:2])).astype(numpy.float16)
        blocks[:, :, at : at + 2] = half[..., None].view(numpy.uint8)
    tensors[f"{form.name.lower()}.bytes"] = blocks.reshape(SHAPE[0], -1)
for name in [each for each in tensors if each.endswith("bytes")]:
    form = Form[name.split(".")[0].upper()]
    tensors[name.replace("bytes", "values")] = dequantize(tensors[name], form).astype(numpy.float32)
save_file(tensors, FIXTURES / "blocks.safetensors")

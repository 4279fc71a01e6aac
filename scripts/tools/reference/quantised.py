"""What bitsandbytes makes of a matrix in 4 and 8 bits, and what that is as numbers again.

    pip install bitsandbytes==0.50.2 torch; python quantised.py tests/fixtures/quantised.safetensors
"""

import sys

import bitsandbytes.functional as F
import torch
from safetensors.torch import save_file

torch.manual_seed(0)
# More than 256 blocks of 64, so that the second quantisation has more than one block; one block of zeros.
weight = (torch.randn(136, 128) * torch.linspace(0.01, 0.2, 136)[:, None]).half()
weight[3, :64] = 0
codes, state = F.quantize_4bit(weight.float(), blocksize=64, quant_type="nf4", compress_statistics=True)
nf4 = F.dequantize_4bit(codes, state)
rows, scales, _ = F.int8_vectorwise_quant(weight)
save_file({
    "weight": weight,
    "nf4.codes": codes.flatten(),
    "nf4.absmax": state.absmax,
    "nf4.outer": state.state2.absmax,
    "nf4.map": state.state2.code,
    "nf4.offset": state.offset.reshape(1),
    "nf4.values": nf4,
    "int8.codes": rows,
    "int8.scales": scales,
    "int8.values": rows.float() * scales[:, None] / 127,
}, sys.argv[1])

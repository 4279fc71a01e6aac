"""Files of the reference implementation, for tests/dsl/safetensors_reference_test.ts: tests/fixtures/safetensors/.

every_type.safetensors holds each element type at its limits, sharded/ is what huggingface_hub saves, and values.json says
what is in both. conversions.safetensors holds 32-bit floats (F32) and what torch makes of them in 16 bits (F16, BF16).
"""

import json
import math

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file

from common import FIXTURES

FOLDER = FIXTURES / "safetensors"
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def text(value):
    """A value as JavaScript's Number() or BigInt() reads it back exactly."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return repr(int(value) if isinstance(value, bool) else value)


def describe(tensors):
    """Type, shape and values of each tensor."""
    names = {dtype: name for name, dtype in TYPES.items()}
    return {
        name: {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "values": [text(value) for value in tensor.flatten().tolist()],
        }
        for name, tensor in tensors.items()
    }


def every_type():
    """Each element type at its limits; names and shapes that writers get wrong."""
    tensors = {}
    for name, dtype in TYPES.items():
        if dtype == torch.bool:
            values = [True, False, True]
        elif dtype.is_floating_point:
            info = torch.finfo(dtype)
            values = [0.0, -0.0, 1 / 3, info.max, info.min, info.tiny, info.smallest_normal / 4]
            values += [math.inf, -math.inf, math.nan]
        else:
            info = torch.iinfo(dtype)
            values = [info.min, info.max, 1]
        tensors[f"type.{name}"] = torch.tensor(values, dtype=dtype)
    for name in ["10", "9", "\U0001f600", "\uff5e quote \" slash \\ control \x01 separator \u2028"]:
        tensors[name] = torch.tensor(7, dtype=torch.uint8)
    tensors["matrix"] = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    tensors["empty"] = torch.zeros((2, 0, 3), dtype=torch.float16)
    return tensors


def conversions():
    """32-bit floats, and what torch makes of them in 16 bits."""
    generator = torch.Generator().manual_seed(1)
    bits = torch.randint(-(2**31), 2**31, (4096,), generator=generator).to(torch.int32)
    # Halfway cases: every pattern of the dropped bits' top and of the last kept bits.
    exponents = torch.arange(100, 160) << 23
    ties = torch.tensor([0, 1, 2, 0xFFF, 0x1000, 0x1001, 0x2000, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x18000, 0x7FFFFF])
    halfway = (exponents[:, None] | ties[None, :]).flatten().to(torch.int32)
    values = torch.cat([bits, halfway]).view(torch.float32)
    values = values[~values.isnan()]
    return {"F32": values, "F16": values.half(), "BF16": values.bfloat16()}


def main():
    """Writes the files."""
    (FOLDER / "sharded").mkdir(parents=True, exist_ok=True)
    every = every_type()
    save_file(every, FOLDER / "every_type.safetensors", metadata={"format": "pt"})
    save_file(conversions(), FOLDER / "conversions.safetensors")
    layers = {f"layer.{i}.weight": torch.arange(64, dtype=torch.float32).add(100 * i).reshape(8, 8) for i in range(5)}
    layers["layer.0.bias"] = torch.linspace(-1, 1, 8, dtype=torch.float32).bfloat16()
    save_torch_state_dict(layers, FOLDER / "sharded", max_shard_size=600)
    (FOLDER / "values.json").write_text(json.dumps({"every_type": describe(every), "sharded": describe(layers)}) + "\n")


if __name__ == "__main__":
    main()

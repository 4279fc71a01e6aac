"""Writes a Hugging Face model as transformers.js loads it, for decoding_wasm.ts:

    python scripts/tools/bench/onnx_folder.py MODEL OUT

with torch, transformers, onnx, onnxruntime (1.32.0) and onnxruntime-genai (0.18.0), whose builder makes the graph: attention
as one operator, in OUT/onnx: model.onnx (fp32), model_q4.onnx (blocks of 32, embedding in fp32: the engine for WebAssembly
has no GatherBlockQuantized) and model_quantized.onnx (q8: quantize_dynamic of fp32, transformers.js' own default).
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

model, out = map(Path, sys.argv[1:3])
(out / "onnx").mkdir(parents=True, exist_ok=True)
for file in model.iterdir():
    if file.suffix in {".json", ".jinja"} and "index" not in file.name:
        shutil.copy(file, out)
config = json.loads((model / "config.json").read_text())
width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]

with tempfile.TemporaryDirectory() as folder:
    for precision, name in (("fp32", "model"), ("int4", "model_q4")):
        built = f"{folder}/{precision}"
        subprocess.run(
            [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", model, "-o", built, "-p", precision, "-e", "cpu",
             "-c", f"{folder}/cache", "--extra_options", "shared_embeddings=false"],
            check=True,
        )
        graph = onnx.load(f"{built}/model.onnx")
        # transformers.js makes the empty cache from the graph's shapes, where the builder only names the width of a head.
        for value in (*graph.graph.input, *graph.graph.output):
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.dim_param == "kv_cache_dim":
                    dimension.dim_value = width
        onnx.save_model(graph, out / f"onnx/{name}.onnx")
quantize_dynamic(
    out / "onnx/model.onnx",
    out / "onnx/model_quantized.onnx",
    weight_type=QuantType.QInt8,
    extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
)

"""Logits of a small LLaMA under every kind of rotary scaling, in float64, as transformers computes them.

Writes tests/fixtures/rope.json: one object a case with its settings of config.json and the last position's logits; the
weights are those of llama-grouped.
"""

import json

from common import FIXTURES

import torch
from transformers import LlamaConfig, LlamaForCausalLM

LENGTH = 40
BASE = {"rope_theta": 10000.0}
CASES = [
    {"rope_parameters": {**BASE, "rope_type": "linear", "factor": 4.0}},
    {"rope_scaling": {"type": "linear", "factor": 2.5}, "rope_theta": 500.0},
    {"rope_parameters": {**BASE, "rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 16},
    {"rope_parameters": {**BASE, "rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 64},
    {"rope_parameters": {**BASE, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
    {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 8, "beta_slow": 2, "attention_factor": 0.9}, "rope_theta": 100.0},
    {"rope_parameters": {**BASE, "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16, "mscale": 0.8, "mscale_all_dim": 1.2, "truncate": False}},
    {"rope_parameters": {**BASE, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}},
    {"rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}, "rope_theta": 500000.0},
]

ids = torch.randint(0, 37, (1, LENGTH), generator=torch.Generator().manual_seed(1))
out = []
for case in CASES:
    config = json.loads((FIXTURES / "llama-grouped" / "config.json").read_text())
    config.pop("rope_parameters")
    config.update(case)
    made = LlamaConfig(**config)
    model = LlamaForCausalLM.from_pretrained(FIXTURES / "llama-grouped", config=made, attn_implementation="sdpa")
    with torch.no_grad():
        logits = model.double().eval()(input_ids=ids).logits[0, -1]
    out.append({"config": case, "logits": [float(f"{value:.9g}") for value in logits.tolist()]})
(FIXTURES / "rope.json").write_text(json.dumps({"ids": ids[0].tolist(), "cases": out}, indent=1) + "\n")

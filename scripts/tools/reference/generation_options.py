"""What transformers generates by the settings of generation_config.json: tokens by greedy choice, and probabilities of each step.

    python generation_options.py      # tests/fixtures/generation-options.json

The model is tests/fixtures/llama-grouped, in float32. Settings that choose tokens in another way are not among these: they are
refused.
"""

import json

import torch
from common import FIXTURES
from transformers import GenerationConfig, LlamaForCausalLM

PROMPT = [3, 7, 11, 7, 20]
TOKENS = 8
CASES = [
    {},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
    {"suppress_tokens": [28, 5, 14]},
    {"begin_suppress_tokens": [28, 14]},
    {"eos_token_id": [0, 28, 14, 22, 33], "min_new_tokens": 3},
    {"eos_token_id": 14, "min_length": 8, "max_length": 11},
    {"eos_token_id": [14, 22], "max_new_tokens": 4, "max_length": 6},
    {"repetition_penalty": 1.5, "suppress_tokens": [1, 2], "begin_suppress_tokens": [9], "eos_token_id": [30], "min_new_tokens": 2},
    {"do_sample": False, "temperature": 0.3, "top_k": 2, "top_p": 0.5, "min_p": 0.4},
    {"do_sample": True},
    {"do_sample": True, "temperature": 0.6, "top_k": 0},
    {"do_sample": True, "temperature": 1.7, "top_k": 5},
    {"do_sample": True, "top_k": 0, "top_p": 0.8},
    {"do_sample": True, "top_k": 6, "top_p": 0.75, "temperature": 1.4},
    {"do_sample": True, "top_k": 0, "min_p": 0.3},
    {"do_sample": True, "top_k": 9, "top_p": 0.9, "min_p": 0.2, "temperature": 2.0, "repetition_penalty": 1.2, "suppress_tokens": [14]},
    {"do_sample": True, "top_k": 1000, "top_p": 1.0, "eos_token_id": [14], "min_new_tokens": 4},
]  # fmt: skip


@torch.no_grad()
def main() -> None:
    model = LlamaForCausalLM.from_pretrained(FIXTURES / "llama-grouped", dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()
    ids = torch.tensor([PROMPT])
    found = []
    for settings in CASES:
        torch.manual_seed(0)
        config = GenerationConfig(pad_token_id=0, **{"max_new_tokens": TOKENS} | settings if "max_length" not in settings else settings)
        made = model.generate(ids, generation_config=config, output_scores=True, return_dict_in_generate=True)
        found.append({
            "settings": config_of(settings),
            "tokens": made.sequences[0, len(PROMPT):].tolist(),
            # float64: the softmax alone.
            "probabilities": [[float(f"{p:.9g}") for p in scores[0].double().softmax(-1).tolist()] for scores in made.scores],
        })  # fmt: skip
    (FIXTURES / "generation-options.json").write_text(json.dumps({"prompt": PROMPT, "cases": found}) + "\n")


def config_of(settings: dict) -> dict:
    """What a file says."""
    return settings if "max_length" in settings else {"max_new_tokens": TOKENS} | settings


main()

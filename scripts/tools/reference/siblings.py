"""Models of LLaMA's blocks under other names: Mistral with a window, Qwen2, SmolLM3 with blocks without positions.

Writes tests/fixtures/{mistral-window,qwen2-tied,smollm3-plain}/, laid out as llama-grouped/, and sibling-counts.json: parameters
of the presets as transformers counts them.
"""

import json

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    SmolLM3Config,
)

import llama
from common import FIXTURES

SIZES = dict(
    vocab_size=31,
    hidden_size=16,
    intermediate_size=20,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)
ROPE = dict(rope_type="default", rope_theta=300.0)
MODELS = {
    "mistral-window": MistralConfig(
        **SIZES, head_dim=6, num_hidden_layers=2, rms_norm_eps=1e-5, sliding_window=3, rope_parameters=ROPE
    ),
    "qwen2-tied": Qwen2Config(**SIZES, num_hidden_layers=2, tie_word_embeddings=True, rope_parameters=ROPE),
    "smollm3-plain": SmolLM3Config(
        **SIZES, num_hidden_layers=3, no_rope_layer_interval=2, tie_word_embeddings=True, rope_parameters=ROPE
    ),
}

PRESETS = {
    "smollm2-135m": LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    ),
    "smollm2-1.7b": LlamaConfig(
        vocab_size=49152, hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=32,
        tie_word_embeddings=True,
    ),
    "llama-3.2-1b": LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, tie_word_embeddings=True,
    ),
    "llama-3.2-3b": LlamaConfig(
        vocab_size=128256, hidden_size=3072, intermediate_size=8192, num_hidden_layers=28, num_attention_heads=24,
        num_key_value_heads=8, tie_word_embeddings=True,
    ),
    "llama-3.1-8b": LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8,
    ),
    "mistral-7b": MistralConfig(),
    "qwen2.5-0.5b": Qwen2Config(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "qwen2.5-1.5b": Qwen2Config(
        hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "qwen2.5-7b": Qwen2Config(
        vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4,
    ),
    "smollm3-3b": SmolLM3Config(),
}


def main() -> None:
    # The fixtures of LLaMA's script, by the class that a configuration is of.
    llama.LlamaForCausalLM = Automatic
    for seed, (name, config) in enumerate(MODELS.items()):
        llama.model_fixture(name, config, seed=200 + 10 * seed)
    counts = {}
    for name, config in PRESETS.items():
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        model.tie_weights()
        counts[name] = sum({id(each): each.numel() for each in model.parameters()}.values())
    (FIXTURES / "sibling-counts.json").write_text(json.dumps(counts, indent=2) + "\n")


class Automatic:
    """The class that a configuration or folder is of, where LLaMA's script names its own."""

    def __new__(cls, config):
        return AutoModelForCausalLM.from_config(config)

    from_pretrained = AutoModelForCausalLM.from_pretrained


if __name__ == "__main__":
    main()

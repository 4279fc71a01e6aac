"""LLaMA fixtures: small random models in Hugging Face folders, with outputs, gradients and continuations by transformers,
and every adapter method on one of them.

Writes tests/fixtures/llama-{grouped,tied,legacy}/ and tests/fixtures/llama-adapters/ (README.md has the layout).
"""

import json
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from common import FIXTURES, normal, save
from methods import Family, write

IGNORED = -100

# Each pair of query heads shares a key head. 24, 12 and 44 are no multiples of MoRA's 5, 3, 7 (type 1) and 4, 2, 6
# (type 6) in all the places where it pads, tiles and cuts.
GROUPED = LlamaConfig(
    vocab_size=37,
    hidden_size=24,
    intermediate_size=44,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    rms_norm_eps=1e-5,
    max_position_embeddings=64,
)

# One key head for all, heads wider than hidden_size / heads, another theta.
TIED = LlamaConfig(
    vocab_size=29,
    hidden_size=18,
    intermediate_size=28,
    num_hidden_layers=3,
    num_attention_heads=3,
    num_key_value_heads=1,
    head_dim=8,
    rms_norm_eps=1e-6,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 500.0},
)

# As older versions wrote it: rope_theta at the top, no key heads, no head size, no epsilon.
LEGACY = LlamaConfig(
    vocab_size=23,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    attention_bias=True,
    mlp_bias=True,
    rope_parameters={"rope_type": "default", "rope_theta": 100.0},
)


def enliven(model: LlamaForCausalLM, seed: int) -> None:
    """Draws every parameter anew, large enough that attention, norms and biases all matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif "norm" in name:
            value = 1 + normal(generator, parameter.shape, 0.3)
        elif "embed_tokens" in name:
            value = normal(generator, parameter.shape, 0.7)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


def load(name: str) -> LlamaForCausalLM:
    # Eager attention would take its softmax in float32.
    return LlamaForCausalLM.from_pretrained(FIXTURES / name, attn_implementation="sdpa").double().eval()


def padded_batch(config: LlamaConfig, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows without padding, padded left, right, and on both sides; padding has an id of its own choice."""
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(3, config.vocab_size, (4, length), generator=generator)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, :3] = 0
    attention_mask[2, -4:] = 0
    attention_mask[3, :2] = 0
    attention_mask[3, -1:] = 0
    return input_ids, attention_mask


def batch(name: str) -> tuple[Tensor, Tensor]:
    expected = load_file(FIXTURES / name / "expected.safetensors")
    return expected["input_ids"].long(), expected["attention_mask"].long()


def language_loss(logits: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean over all tokens that have a real one before them."""
    labels = input_ids.masked_fill(attention_mask == 0, IGNORED)[:, 1:].clone()
    labels[attention_mask[:, :-1] == 0] = IGNORED
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def where_real(tensor: Tensor, attention_mask: Tensor) -> Tensor:
    """Zero at padding: what is computed there means nothing and differs between implementations."""
    return tensor * attention_mask[..., None]


def model_fixture(name: str, config: LlamaConfig, seed: int, legacy: bool = False) -> None:
    model = LlamaForCausalLM(config)
    enliven(model, seed)
    model.save_pretrained(FIXTURES / name)
    if legacy:
        age(name)

    model = load(name)
    input_ids, attention_mask = padded_batch(config, 9, seed + 1)
    output = model(input_ids, attention_mask=attention_mask, output_hidden_states=True)
    loss = language_loss(output.logits, input_ids, attention_mask)
    loss.backward()
    # The last hidden state comes after the final norm.
    hidden = {f"hidden.{i}": where_real(state, attention_mask) for i, state in enumerate(output.hidden_states)}
    prompts, lengths = input_ids[:3, :5], [5, 3, 4]
    prompt_mask = torch.tensor([[0] * (5 - n) + [1] * n for n in lengths])
    continued = model.generate(
        prompts, attention_mask=prompt_mask, max_new_tokens=8, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    save(
        FIXTURES / name / "expected.safetensors",
        {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "logits": where_real(output.logits, attention_mask),
            "loss": loss,
            **hidden,
            **{f"grad.{key}": parameter.grad for key, parameter in model.named_parameters()},
            "prompt_ids": prompts,
            "prompt_mask": prompt_mask,
            "continuation": continued[:, 5:],
        },
    )


def age(name: str) -> None:
    """Makes a folder look as older versions of transformers wrote it."""
    folder = FIXTURES / name
    config = json.loads((folder / "config.json").read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    for key in ["num_key_value_heads", "head_dim", "rms_norm_eps"]:
        del config[key]
    config["rope_scaling"] = None
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = load_file(folder / "model.safetensors")
    for layer in range(config["num_hidden_layers"]):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def sampling_fixture() -> None:
    """The distributions from which transformers samples, by temperature and top-p."""
    logits = normal(torch.Generator().manual_seed(5), torch.Size([12]), 1.0)
    cases = []
    for temperature, top_p in [(1.0, 1.0), (0.7, 1.0), (1.0, 0.9), (1.5, 0.5), (0.3, 0.8), (1.0, 0.01)]:
        scores = TemperatureLogitsWarper(temperature)(None, logits[None]) if temperature != 1 else logits[None]
        scores = TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores
        cases.append({"temperature": temperature, "topP": top_p, "probabilities": scores.softmax(-1)[0].tolist()})
    document = {"logits": logits.tolist(), "cases": cases}
    (FIXTURES / "llama-sampling.json").write_text(json.dumps(document, indent=2) + "\n")


BASE = "llama-grouped"
METHODS = ["1lora", "lora-r1", "rslora-r4", "dora-r2", "vera-r1", "mora1", "mora6", "bitfit", "difffit"]


def run(model: nn.Module) -> tuple[Tensor, Tensor]:
    input_ids, attention_mask = batch(BASE)
    logits = model(input_ids, attention_mask=attention_mask).logits
    return where_real(logits, attention_mask), language_loss(logits, input_ids, attention_mask)


def plain() -> LlamaForCausalLM:
    """The base model with biases of zero in every layer that may be adapted."""
    base = load(BASE)
    config = LlamaConfig.from_pretrained(FIXTURES / BASE, attention_bias=True, mlp_bias=True)
    model = LlamaForCausalLM(config).double().eval()
    assert all(name.endswith(".bias") for name in model.load_state_dict(base.state_dict(), strict=False).missing_keys)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data.zero_()
    return model


LLAMA = Family(
    base=BASE,
    load=lambda: load(BASE),
    plain=plain,
    linears=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    count=14,
    published=lambda name: name,
    run=run,
)


if __name__ == "__main__":
    parts = sys.argv[1:] or ["models", "sampling", "adapters"]
    if "models" in parts:
        model_fixture(BASE, GROUPED, seed=50)
        model_fixture("llama-tied", TIED, seed=60)
        model_fixture("llama-legacy", LEGACY, seed=70, legacy=True)
    if "sampling" in parts:
        sampling_fixture()
    if "adapters" in parts:
        # transformers takes norms in float32, so that two ways to the same logits differ by its rounding.
        write(FIXTURES / "llama-adapters", LLAMA, METHODS, output="logits", keep_merged=False, merge_tolerance=1e-5)

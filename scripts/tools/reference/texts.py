"""Tokens and masks of chats, prompts and texts: tests/fixtures/texts.

Chats: transformers' `apply_chat_template(..., return_assistant_tokens_mask=True)`. Prompts, completions and texts: as TRL's trainer
encodes them (the prompt alone, and prompt + completion + end token as one text; what follows the prompt's tokens counts).
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

FIXTURES = Path(__file__).parents[3] / "tests" / "fixtures"
OUT = FIXTURES / "texts"

CHATML = """{%- if tools %}{{ '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}
        {{- '\n' }}
    {%- else %}
        {{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""
# The line's end is the model's to write here.
LINES = """{% for message in messages %}
{% if message.role == 'assistant' %}
Assistant: {% generation %}
{{ message.content | trim }}<|im_end|>
{% endgeneration %}
{% else %}
{{ message.role | capitalize }}: {{ message.content }}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
Assistant: {% endif %}"""
INST = """{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- ' ' + message['content'] + eos_token }}{%- endgeneration %}
    {%- else %}
        {{- '[INST] ' + message['content'] + ' [/INST]' }}
    {%- endif %}
{%- endfor %}"""

SINGLE = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]
LONG = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello, how are you?"},
    {"role": "assistant", "content": "I am well. Größe: 3 € \U0001f600"},
    {"role": "user", "content": "And tomorrow?\nTell me."},
    {"role": "assistant", "content": "The answer is: well\n\n  indented"},
]
OPEN = LONG[:4]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def tokenizer(name):
    read = PreTrainedTokenizerFast.from_pretrained(FIXTURES / name)
    read.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    read.save_pretrained(OUT / name)
    for path in (OUT / name).iterdir():
        if path.name not in ("tokenizer.json", "tokenizer_config.json"):
            path.unlink()
    return read


def chats(name, tok):
    for kind, template in {"ChatML": CHATML, "lines": LINES, "INST": INST}.items():
        for what, messages in {"single": SINGLE, "long": LONG, "open": OPEN}.items():
            for tools in (None, TOOLS) if kind == "ChatML" else (None,):
                text = tok.apply_chat_template(messages, chat_template=template, tools=tools, tokenize=False)
                found = tok.apply_chat_template(
                    messages, chat_template=template, tools=tools, tokenize=True, return_dict=True,
                    return_assistant_tokens_mask=True,
                )
                yield {
                    "name": f"{kind}, {what}{', tools' if tools else ''}, {name}",
                    "tokenizer": name,
                    "template": template,
                    # Whether a template without the tags has the same answers.
                    "plain": kind != "lines",
                    "messages": messages,
                    **({"tools": tools} if tools else {}),
                    "text": text,
                    "ids": found["input_ids"],
                    "mask": found["assistant_masks"],
                }


PAIRS = [
    ("Question: What is 2 + 2?\nAnswer:", " 4"),
    ("Hello, ", "how are you? \U0001f600"),
    ("Translate: ", "Größe\n\nwell"),
]


def pairs(name, tok):
    for prompt, completion in PAIRS:
        before = tok(prompt)["input_ids"]
        whole = tok(prompt + completion + tok.eos_token)["input_ids"]
        mask = [0] * len(before) + [1] * (len(whole) - len(before))
        yield {"tokenizer": name, "row": {"prompt": prompt, "completion": completion}, "ids": whole, "mask": mask}
    for text in ("Once upon a time, there was a model.", "Größe\n 3 €"):
        ids = tok(text + tok.eos_token)["input_ids"]
        yield {"tokenizer": name, "row": {"text": text}, "ids": ids, "mask": [1] * len(ids)}


def main():
    OUT.mkdir(exist_ok=True)
    found = {"chats": [], "pairs": []}
    for name in ("tokenizer-bytes", "tokenizer-metaspace"):
        tok = tokenizer(name)
        found["chats"] += chats(name, tok)
        found["pairs"] += pairs(name, tok)
    (OUT / "expected.json").write_text(json.dumps(found, ensure_ascii=False, indent=1))
    tables()


ROWS = [
    {"prompt": "Say \"hi\", twice", "completion": "hi\nhi"},
    {"prompt": "2 + 2", "completion": "4, of course"},
]


def tables():
    """The same rows as other tools write them."""
    import pandas

    frame = pandas.DataFrame(ROWS)
    frame.to_csv(OUT / "pairs.csv", index=False)
    frame.to_parquet(OUT / "pairs.parquet")
    chats = pandas.DataFrame({"id": [1, 2], "messages": [SINGLE, LONG]})
    chats.to_parquet(OUT / "messages.parquet")


if __name__ == "__main__":
    main()

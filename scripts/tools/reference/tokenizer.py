"""Tokenizer fixtures: two small trained tokenizers, and what the tokenizers library makes of some texts.

Writes tests/fixtures/tokenizer-{metaspace,bytes}/{tokenizer.json,tokenizer_config.json,cases.json}.
"""

import json

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from common import FIXTURES

CORPUS = [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "### Instruction:\nWhat is the sum of 17 and 25?\n\n### Response:\nThe sum of 17 and 25 is 42.",
    "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox does not.",
    "Solve for x: 3x + 5 = 20. Then 3x = 15, so x = 5. The answer is 5.",
    "A train leaves at 9:45 and arrives at 12:30. How long does the journey take?",
    "Größere Übung: naïve café, señor, Straße.",
] * 4

TEXTS = [
    "The answer is 42.",
    " leading and  double   spaces ",
    "### Instruction:\nWhat is 3 + 5?\n\n### Response:",
    "tabs\tand\r\nlines\n\n\n",
    "naïve Übung, déjà vu",
    "日本語 and emoji 🦊👩‍🚀 and \u0000 control",
    "x",
    " ",
    "",
    "don't can't I'll 12345 6.78e-9",
    "a</s>b <s> c",
    "<|endoftext|>after",
    "é as e\u0301",
]


def metaspace() -> tuple[Tokenizer, dict]:
    """As LLaMA-2's: spaces become ▁, one in front; unknown characters fall back to bytes; <s> begins a text."""
    special = ["<unk>", "<s>", "</s>"]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special + fallback, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    # The bytes are ordinary tokens: text that spells one must not become it.
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] in special]
    # Kept words: <s> as an object, as LLaMA-2's own file has it.
    begin = {"__type": "AddedToken", "content": "<s>", "lstrip": False, "normalized": True, "rstrip": False}
    config = {"bos_token": begin, "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False}
    return Tokenizer.from_str(json.dumps(document)), config


def byte_level() -> tuple[Tokenizer, dict]:
    """As SmolLM's: single digits, bytes as letters, nothing put before a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer, {"bos_token": None, "eos_token": "<|endoftext|>"}


def write(name: str, tokenizer: Tokenizer, config: dict) -> None:
    folder = FIXTURES / name
    folder.mkdir(exist_ok=True)
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        cases.append({
            "text": text,
            "ids": ids,
            "bare": tokenizer.encode(text, add_special_tokens=False).ids,
            "decoded": tokenizer.decode(ids),
            "whole": tokenizer.decode(ids, skip_special_tokens=False),
        })
    for file, document in [("tokenizer.json", json.loads(tokenizer.to_str())), ("tokenizer_config.json", config), ("cases.json", cases)]:
        (folder / file).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    write("tokenizer-metaspace", *metaspace())
    write("tokenizer-bytes", *byte_level())

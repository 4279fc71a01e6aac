"""A SentencePiece fixture: a small model of LLaMA-2's kind, and what the sentencepiece library makes of some texts.

Writes tests/fixtures/tokenizer-sentencepiece/{tokenizer.model,tokenizer_config.json,cases.json}.
"""

import io
import json

import sentencepiece

from common import FIXTURES
from tokenizer import CORPUS, TEXTS

OUT = FIXTURES / "tokenizer-sentencepiece"

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.99,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    (OUT / "tokenizer.model").write_bytes(model.getvalue())
    config = {"add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>"}
    (OUT / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    cases = [
        {"text": text, "bare": ids, "decoded": processor.decode(ids)}
        for text in TEXTS
        for ids in [processor.encode(text)]
    ]
    (OUT / "cases.json").write_text(json.dumps(cases, indent=2, ensure_ascii=False) + "\n")

    # Tokens added beside the model, as transformers 5 cuts texts at them.
    import tempfile
    from pathlib import Path
    from transformers import AutoTokenizer

    decoder = {
        "420": {"content": "<|im_end|>", "special": True},
        "421": {"content": "<plain>", "special": False, "lstrip": True},
    }
    texts = [
        "<|im_end|>", "A<|im_end|>B C", "A <|im_end|> B", "<|im_end|> A", "<|im_end|>A", "A <plain>B", "A<plain> B",
        "<plain>B", "\n<|im_end|>\nA", "A<|im_end|><|im_end|>B",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokenizer.model").write_bytes(model.getvalue())
        (folder / "config.json").write_text('{"model_type": "llama"}')
        added = {**config, "tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": decoder}
        (folder / "tokenizer_config.json").write_text(json.dumps(added))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        cases = [
            {"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)}
            for text in texts
            for ids in [tokenizer(text).input_ids]
        ]
    (OUT / "added.json").write_text(json.dumps({"config": added, "cases": cases}, indent=2, ensure_ascii=False) + "\n")

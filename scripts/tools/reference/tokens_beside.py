"""Tokens that are named beside tokenizer.json, as transformers adds them: writes tests/fixtures/tokens-beside.json."""
import json
import pathlib
import shutil
import tempfile

from transformers import AutoTokenizer

FIXTURES = pathlib.Path(__file__).parents[3] / "tests" / "fixtures"
SOURCE = FIXTURES / "tokenizer-bytes"
TEXTS = ["<extra>1 <extra>", "a <more> b<extra>", "<|im_end|>x <pad>", "plain", "<last><extra><last>"]


def token(content, **more):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True, **more}


def first_free():
    return len(AutoTokenizer.from_pretrained(SOURCE))


def variants(n):
    yield "added_tokens_decoder", {"added_tokens_decoder": {str(n): token("<extra>"), str(n + 1): token("<more>", special=False, lstrip=True)}}, {}
    yield "additional_special_tokens", {"additional_special_tokens": ["<extra>", "<|im_end|>"]}, {}
    yield "extra_special_tokens", {"extra_special_tokens": ["<more>"], "pad_token": "<pad>"}, {}
    yield "decoder and special tokens", {"added_tokens_decoder": {str(n): token("<extra>", special=False)}, "pad_token": "<pad>",
                                         "additional_special_tokens": ["<last>"]}, {}
    yield "added_tokens.json", {}, {"added_tokens.json": {"<extra>": n, "<more>": n + 1}, "special_tokens_map.json": {"pad_token": "<extra>"}}
    yield "special_tokens_map.json", {}, {"special_tokens_map.json": {"pad_token": token("<pad>"), "additional_special_tokens": ["<|im_end|>"]}}


def main():
    found = []
    for name, changes, files in variants(first_free()):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            shutil.copy(SOURCE / "tokenizer.json", folder)
            config = {**json.loads((SOURCE / "tokenizer_config.json").read_text()), **changes}
            files = {"tokenizer_config.json": config, **files}
            for file, content in files.items():
                (folder / file).write_text(json.dumps(content))
            reference = AutoTokenizer.from_pretrained(folder)
            cases = [{"text": text, "ids": (ids := reference(text).input_ids), "decoded": reference.decode(ids, skip_special_tokens=True),
                      "whole": reference.decode(ids)} for text in TEXTS]
        found.append({"name": name, "files": files, "cases": cases})
    (FIXTURES / "tokens-beside.json").write_text(json.dumps(found, indent=1) + "\n")


main()

"""Tokens that are named beside tokenizer.json, as transformers adds them: writes tests/fixtures/tokens-beside.json."""
import json
import pathlib
import shutil
import tempfile

from transformers import AutoTokenizer

FIXTURES = pathlib.Path(__file__).parents[3] / "tests" / "fixtures"
SOURCE = FIXTURES / "tokenizer-bytes"
METASPACE = FIXTURES / "tokenizer-metaspace"
LLAMA_TEXTS = ["The answer is 42.", "<s>answer </s> answer", "a</s>b <s> c", "</s>x", "  two  ", "don't , . 日", "<pad>a", ""]
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


def llama_variants():
    """What transformers' own class makes of the file, and what is no setting of it."""
    for more in ({}, {"legacy": True}, {"legacy": None}, {"add_prefix_space": False}, {"add_bos_token": False, "add_eos_token": True},
                 {"pad_token": "<pad>", "clean_up_tokenization_spaces": True}, {"remove_space": True, "do_lower_case": True}):  # fmt: skip
        yield f"LlamaTokenizer {json.dumps(more)}", {"tokenizer_class": "LlamaTokenizer", **more}, {}
    yield "LlamaTokenizerFast", {"tokenizer_class": "LlamaTokenizerFast", "model_max_length": 3, "padding_side": "left"}, {}
    for kind, name in (("mistral", "LlamaTokenizer"), ("llama", "CodeLlamaTokenizer"), ("smollm3", "LlamaTokenizer")):
        yield f"{name} of {kind}", {"tokenizer_class": name, "legacy": True}, {"config.json": {"model_type": kind}}
    yield "another class", {"tokenizer_class": "PreTrainedTokenizerFast", "legacy": False, "image_token": "<im>", "pad_token": "<pad>"}, {}


def main():
    found = []
    for source, texts, all_variants in ((SOURCE, TEXTS, variants(first_free())), (METASPACE, LLAMA_TEXTS, llama_variants())):
        found += [case(source, texts, *variant) for variant in all_variants]
    (FIXTURES / "tokens-beside.json").write_text(json.dumps(found, indent=1) + "\n")


def case(source, texts, name, changes, files):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(source / "tokenizer.json", folder)
        config = {**json.loads((source / "tokenizer_config.json").read_text()), **changes}
        files = {"tokenizer_config.json": config, **files}
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content))
        reference = AutoTokenizer.from_pretrained(folder)
        cases = [{"text": text, "ids": (ids := reference(text).input_ids), "decoded": reference.decode(ids, skip_special_tokens=True),
                  "whole": reference.decode(ids)} for text in texts]  # fmt: skip
    return {"name": name, "source": source.name, "files": files, "cases": cases}


main()

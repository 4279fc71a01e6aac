"""Tokenizers of random parts, and what the tokenizers library makes of random texts.

    python tokenizer_parts.py                      # tests/fixtures/tokenizer-parts.json
    python tokenizer_parts.py SEED COUNT FILE      # as many others, to be compared by hand

Every type of normaliser, pre-tokeniser, model, post-processor and decoder that the project reads, in random settings and
combinations, with added tokens that strip, are normalised, are special or not.
"""

import io
import json
import random
import sys
from base64 import b64encode
from tempfile import NamedTemporaryFile

import sentencepiece
from common import FIXTURES
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

WORDS = [
    "hello", "Hello", "world", "the", "a", "don't", "I'm", "12", "3", "٣", "½", "²", "é", "e\u0301", "Straße", "ΣΑΣ", "İ",
    "日本", "中", "🦊", "👩‍🚀", "▁", "▁▁", " ", "  ", "\t", "\n", "\u0085", "\ufeff", "\u00a0", "\u2028", ".", "!!", "?", " ,",
    "'s", "$", "$&", "_", "-", "—", "«", "<s>", "</s>", "<x>", "<y>", "word", "</w>", "##a", "\0", "\u00ad", "\u200d", "ﬁ",
    "①", "가", "ア゙", "x", "y", "z", "ab", "abc", "<0x41>", "\ufffd", "𠀀", "É", "Å", "n't", " do not",
]  # fmt: skip
LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEHSTIW0123456789.,!?'-_$<>/ ▁éß日本中½²٣&#")
ADDED = ["<s>", "</s>", "<x>", "<y>", "word", "abc", "▁", "z", "É", "🦊", "hello", "ΣΑ"]
BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PATTERNS = [
    {"String": " "}, {"String": "a"}, {"String": "."}, {"String": "▁"}, {"Regex": "\\s+"}, {"Regex": "\\d"},
    {"Regex": "[a-z]+"}, {"Regex": "\\p{L}+|\\p{N}"}, {"Regex": "\\w+"}, {"Regex": "[^\\s]"}, {"Regex": " {2,}"},
    {"Regex": "(?i:'s|'t|'re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
]  # fmt: skip


def charsmap() -> str:
    """A small table, by SentencePiece's own trainer."""
    rules = {"\t": " ", "\n": " ", "ﬁ": "fi", "①": "1", "é": "e", "ア゙": "ヷ", "\u00ad": "", "▁": " ", "🦊": "fox"}
    code = lambda text: " ".join(f"{ord(letter):X}" for letter in text)  # noqa: E731
    model = io.BytesIO()
    with NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("".join(f"{code(source)}\t{code(target)}\n" for source, target in rules.items()))
        file.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["hello world a b c"] * 50), model_writer=model, vocab_size=20, hard_vocab_limit=False,
            normalization_rule_tsv=file.name, minloglevel=2,
        )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


class Maker:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.charsmap = charsmap()

    def maybe(self, share: float = 0.5) -> bool:
        return self.random.random() < share

    def one(self, choices):
        return self.random.choice(choices)

    def text(self) -> str:
        return "".join(self.one(WORDS) + self.one([""] * 2 + [" "]) for _ in range(self.random.randrange(0, 9)))

    def several(self, name: str, make) -> dict:
        return {"type": "Sequence", name: [make(True) for _ in range(self.random.randrange(0, 4))]}

    def normaliser(self, within: bool = False) -> dict:
        kinds = ["BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Precompiled", "Prepend", "Replace",
                 "Strip", "StripAccents"] + ["Sequence"] * (not within)  # fmt: skip
        kind = self.one(kinds)
        match kind:
            case "Sequence":
                return self.several("normalizers", self.normaliser)
            case "BertNormalizer":
                return {"type": kind, "clean_text": self.maybe(), "handle_chinese_chars": self.maybe(),
                        "strip_accents": self.one([None, True, False]), "lowercase": self.maybe()}  # fmt: skip
            case "Precompiled":
                return {"type": kind, "precompiled_charsmap": self.charsmap}
            case "Prepend":
                return {"type": kind, "prepend": self.one(["▁", "x"])}
            case "Replace":
                return {"type": kind, "pattern": self.one(PATTERNS), "content": self.one(["▁", "$&", "$1", " "])}
            case "Strip":
                return {"type": kind, "strip_left": self.maybe(), "strip_right": self.maybe()}
        return {"type": kind}

    def metaspace(self) -> dict:
        scheme = self.one(["always", "first", "never"])
        return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme} | ({"split": self.maybe()} if self.maybe(0.7) else {})

    def pre_tokeniser(self, within: bool = False) -> dict:
        kinds = ["BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation",
                 "Split", "Whitespace", "WhitespaceSplit"] + ["Sequence"] * (not within)  # fmt: skip
        kind = self.one(kinds)
        match kind:
            case "Sequence":
                return self.several("pretokenizers", self.pre_tokeniser)
            case "ByteLevel":
                return {"type": kind, "add_prefix_space": self.maybe(), "trim_offsets": True, "use_regex": self.maybe(0.7)}
            case "CharDelimiterSplit":
                return {"type": kind, "delimiter": self.one(["-", " ", "a"])}
            case "Digits":
                return {"type": kind, "individual_digits": self.maybe()}
            case "FixedLength":
                return {"type": kind, "length": self.random.randrange(1, 5)}
            case "Metaspace":
                return self.metaspace()
            case "Punctuation":
                return {"type": kind, "behavior": self.one(BEHAVIOURS)}
            case "Split":
                return {"type": kind, "pattern": self.one(PATTERNS), "behavior": self.one(BEHAVIOURS), "invert": self.maybe(0.3)}
        return {"type": kind}

    def decoder(self, within: bool = False) -> dict:
        kinds = ["BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece"]
        kind = self.one(kinds + ["Sequence"] * 3 * (not within))
        match kind:
            case "Sequence":
                return self.several("decoders", self.decoder)
            case "BPEDecoder":
                return {"type": kind, "suffix": self.one(["</w>", "a"])}
            case "ByteLevel":
                return {"type": kind, "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
            case "Metaspace":
                return self.metaspace()
            case "Replace":
                return {"type": kind, "pattern": self.one(PATTERNS), "content": self.one([" ", "$&", ""])}
            case "Strip":
                return {"type": kind, "content": self.one([" ", "a", "▁"]), "start": self.random.randrange(0, 3), "stop": self.random.randrange(0, 2)}
            case "WordPiece":
                return {"type": kind, "prefix": "##", "cleanup": self.maybe()}
        return {"type": kind}

    def model(self) -> dict:
        kind = self.one(["BPE", "BPE", "Unigram", "WordPiece", "WordLevel"])
        base = ["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)] * self.maybe(0.25)
        letters = self.random.sample(LETTERS, 40) if self.maybe() else LETTERS
        if kind == "BPE":
            suffix = self.one([None, None, None, "", "</w>"])
            vocabulary = list(dict.fromkeys(base + letters + ([letter + suffix for letter in letters] if suffix else [])))
            merges = []
            for _ in range(self.random.randrange(0, 60)):
                pair = [self.one(vocabulary), self.one(vocabulary)]
                if any(part.startswith("<") for part in pair) or (suffix and pair[0].endswith(suffix)) or pair in merges:
                    continue
                merges.append(pair)
                if "".join(pair) not in vocabulary:
                    vocabulary.append("".join(pair))
            return {"type": kind, "dropout": None, "unk_token": self.one([None, "<unk>", "<unk>"]), "continuing_subword_prefix": None,
                    "end_of_word_suffix": suffix, "fuse_unk": self.maybe(), "byte_fallback": self.maybe(), "ignore_merges": self.maybe(0.3),
                    "vocab": {token: i for i, token in enumerate(vocabulary)}, "merges": merges}  # fmt: skip
        words = [word for word in WORDS if word.strip()] + ["lo", "he", "hel", "llo", "or", "ld", "▁the", "▁a", "th", "##lo", "##e", "##b"]
        tokens = list(dict.fromkeys(base + self.random.sample(words, 25) + letters * self.maybe(0.7)))
        if kind == "Unigram":
            scored = [[token, 0.0 if i == 0 else -round(self.random.uniform(1, 12), 2)] for i, token in enumerate(tokens)]
            return {"type": kind, "unk_id": 0, "byte_fallback": self.maybe(), "vocab": scored}
        ids = {token: i for i, token in enumerate(tokens)}
        if kind == "WordPiece":
            return {"type": kind, "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": self.one([100, 6]), "vocab": ids}
        return {"type": kind, "unk_token": "<unk>", "vocab": ids}

    def post_processor(self) -> dict | None:
        special = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}  # noqa: E731
        text = {"Sequence": {"id": "A", "type_id": 0}}
        template = {
            "type": "TemplateProcessing", "single": [special("<q>"), text, special("<unk>")], "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<unk>": {"id": "<unk>", "ids": [0], "tokens": ["<unk>"]}, "<q>": {"id": "<q>", "ids": [3, 4], "tokens": ["a", "b"]}},
        }  # fmt: skip
        letters = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        bert = {"sep": ["x", 2], "cls": ["y", 1]}
        return self.one([
            None, template, letters, {"type": "BertProcessing", **bert}, {"type": "Sequence", "processors": [letters, template]},
            {"type": "RobertaProcessing", **bert, "trim_offsets": True, "add_prefix_space": True},
        ])  # fmt: skip

    def tokenizer(self) -> dict:
        model = self.model()
        vocabulary = model["vocab"] if isinstance(model["vocab"], dict) else {token: i for i, (token, _) in enumerate(model["vocab"])}
        added, free = [], len(vocabulary)
        for content in self.random.sample(ADDED, self.random.randrange(0, 6)):
            there = content in vocabulary
            added.append({
                "id": vocabulary[content] if there else free, "content": content, "single_word": False, "lstrip": self.maybe(0.25),
                "rstrip": self.maybe(0.25), "normalized": self.maybe(0.4), "special": self.maybe(),
            })  # fmt: skip
            free += not there
        return {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": self.normaliser() if self.maybe(0.6) else None, "pre_tokenizer": self.pre_tokeniser() if self.maybe(0.8) else None,
            "post_processor": self.post_processor(), "decoder": self.decoder() if self.maybe(0.85) else None, "model": model,
        }  # fmt: skip

    def cases(self, tokenizer: dict, count: int):
        reference = Tokenizer.from_str(json.dumps(tokenizer))
        for _ in range(count):
            text = self.text()
            try:
                bare = reference.encode(text, add_special_tokens=False).ids
                ids = bare + [self.random.randrange(0, reference.get_vocab_size() + 3) for _ in range(self.random.randrange(0, 4))]
                yield {"text": text, "framed": reference.encode(text).ids, "bare": bare, "ids": ids, "decoded": reference.decode(ids),
                       "whole": reference.decode(ids, skip_special_tokens=False)}  # fmt: skip
            except BaseException as error:  # The library itself stops at some combinations.
                if isinstance(error, KeyboardInterrupt):
                    raise
                print("left out:", error, file=sys.stderr)


def strangers():
    """Characters of no token, without one for the unknown: their neighbours are merged."""
    for suffix, ignores in [(None, False), ("</w>", False), ("</w>", True)]:
        tokens = ["a", "b", "ab", "ba", "\n", *(f"{token}{suffix}" for token in ["a", "b", "ab", "\n"] if suffix)]
        merges = [["a", "b"], ["b", "a"], *([["a", f"b{suffix}"]] if suffix else [])]
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": suffix,
                 "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignores,
                 "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}  # fmt: skip
        tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                     "pre_tokenizer": {"type": "WhitespaceSplit"} if ignores else None, "post_processor": None, "decoder": None, "model": model}  # fmt: skip
        reference = Tokenizer.from_str(json.dumps(tokenizer))
        cases = []
        for text in ["ab", "aéb", "é", "abé", "béa", "éab", "é\n", "aébé"]:
            ids = reference.encode(text).ids
            cases.append({"text": text, "framed": ids, "bare": ids, "ids": ids, "decoded": reference.decode(ids), "whole": reference.decode(ids, skip_special_tokens=False)})
        yield tokenizer, cases


def main(seed: int = 22, count: int = 72, file: str = str(FIXTURES / "tokenizer-parts.json")) -> None:
    maker = Maker(seed)
    made = [(tokenizer := maker.tokenizer(), list(maker.cases(tokenizer, 6))) for _ in range(count)]
    made += strangers()
    lines = [json.dumps({"tokenizer": tokenizer, "cases": cases}, ensure_ascii=False) for tokenizer, cases in made]
    with open(file, "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main(*(int(each) if each.isdigit() else each for each in sys.argv[1:]))

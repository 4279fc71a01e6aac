"""Writes tests/fixtures/python-regex.json: regular expressions, and what Python's `re` makes of them and some names.

`cases`: [expression, names that `re.fullmatch` matches, names whose beginning `re.match` matches], or [expression, null] where
Python refuses it or only a backtracking engine can match it.
"""

import json
import random
import re
import warnings

from common import FIXTURES

warnings.simplefilter("error")

NAMES = [
    "",
    "lm_head",
    "model.embed_tokens",
    "model.norm",
    "model.layers.0.self_attn.q_proj",
    "model.layers.1.self_attn.v_proj",
    "model.layers.11.mlp.down_proj",
    "vit.layers.3.attention.o_proj",
    "vit.encoder.layer.3.output.dense",
    "transformer_blocks.0.attn1.to_out.0",
    "A-b c\t{2}",
    "aaaa",
    "abab\n",
]

WRITTEN = [
    r"(?i).*\.(?P<which>Q_PROJ|v_proj)",
    r".*\.(q|v)_proj",
    r"model\.layers\.\d+\.self_attn\.[qkvo]_proj",
    r"^(?!.*lm_head).*(?:q_proj|v_proj)$",
    r".*(?<!down)_proj",
    r"(?:.*?(?:language|model).*?(?:self_attn|mlp).*?(?:q_proj|k_proj|v_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.x)",
    r".*layers\.(?:[0-9]|1[0-5])\..*",
    r"(.*\.)?(layers.0.self_attn.q_proj)$",
    r"[^.]+\.[^.]+",
    r"[]a.]+",
    r"[\w.-]*",
    r"a{2,}",
    r"a{,4}",
    r"a{,}",
    r"a{4}",
    r"a{5,}",
    r".*{2}",
    r"A-b c\t\{2\}",
    r"A-b c\t{2}",
    r"A.b\sc\s{1}[{]2}",
    r"(ab)*$",
    r"(?s)(ab)*.",
    r"(?m)(ab)*$\n",
    r"(?:ab)*\Z",
    r"\Aaaaa\Z",
    r"(?#nothing)a+",
    r"(?i:LM)_head",
    r"(?i:LM)_HEAD",
    r"(?i)l(?-i:m)_HEAD",
    r"(?i)[k-l]M_\x48ead",
    r"\x6c\155_head",
    r"\Blm_head|\blm_head\b",
    r"(a*)*",
    r"(a*)*b",
    r"((a+)+)+b",
    r"(a|aa)+",
    r"(?=.*norm)model.*",
    r"(?<=model\.)norm",
    r"model\.(?<=model\.)norm",
    r"(?<!x)model\.norm",
    r"()|lm_head",
    r"|",
    r"",
    r"a|",
    r"a**",
    r"a*+",
    r"a++a",
    r"(?>a+)",
    r"(a)\1",
    r"(?P<x>a)(?P=x)",
    r"(?P<x>a)(?P<x>a)",
    r"(a)?(?(1)a|b)aa",
    r"a(?i)b",
    r"(?x)a a",
    r"\Q",
    r"\p",
    r"*a",
    r"a{3,2}",
    r"(a",
    r"a)",
    r"[a",
    r"[z-a]",
    r"[\d-z]",
    r"(?<x>a)",
    r"(?L)a",
    "a\\",
    r"\u006cm_head",
    r"\u6",
    r"[\b]",
    r"[\]\-.\w]+",
    r"[a-]+",
    r"^*a",
    r"\07",
    r"{",
    r"a{x}",
    r"a{1",
]

# What Python can match, but only by backtracking.
BACKTRACKING = [r"a*+", r"a++a", r"(?>a+)", r"(a)\1", r"(?P<x>a)(?P=x)", r"(a)?(?(1)a|b)aa", r"(?x)a a"]


def drawn(rng: random.Random, depth: int = 3) -> str:
    """A random expression."""
    if depth == 0 or rng.random() < 0.25:
        return rng.choice(["a", "b", ".", r"\.", r"\d", r"\w", "[ab.]", "[^.]", "proj", "layers", "_", "model", r"\b", "$", "^"])
    kind = rng.randrange(5)
    inner = drawn(rng, depth - 1)
    if kind == 0:
        return f"(?:{inner}){rng.choice(['*', '+', '?', '*?', '+?', '{1,3}', '{2}', '{,2}', '{1,}'])}"
    if kind == 1:
        return f"(?:{inner}|{drawn(rng, depth - 1)})"
    if kind == 2:
        return f"({rng.choice(['?=', '?!', '?:', ''])}{inner})"
    return "".join(drawn(rng, depth - 1) for _ in range(rng.randrange(2, 5)))


def case(expression: str) -> list:
    try:
        compiled = re.compile(expression)
    except (re.error, Warning, OverflowError):
        return [expression, None]
    if expression in BACKTRACKING:
        return [expression, None]
    return [expression, [n for n in NAMES if compiled.fullmatch(n)], [n for n in NAMES if compiled.match(n)]]


def main() -> None:
    rng = random.Random(7)
    random_cases = [case(rng.choice(["", ".*", ".*?"]) + drawn(rng)) for _ in range(300)]
    cases = [case(expression) for expression in WRITTEN] + [each for each in random_cases if each[1] is not None]
    document = {"names": NAMES, "cases": cases}
    (FIXTURES / "python-regex.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()

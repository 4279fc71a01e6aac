"""Writes tests/fixtures/tokenizer-llama-micro.json: what transformers' AutoTokenizer makes of some texts with the tokenizer of the
shipped llama-micro: `ids` with and (`bare`) without special tokens, and the text that comes back (`decoded`)."""

import json

from common import FIXTURES
from transformers import AutoTokenizer

from tokenizer import TEXTS

MORE = [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nTom has 12 apples and buys 105 more.\n\n### Response: 12 + 105 = 117. The answer is: 117</s>",
    " 100 1000 10 1 0 00",
    "and And  and the  the",
]


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FIXTURES.parents[1] / "models" / "weights" / "llama-micro")
    cases = []
    for text in [*TEXTS, *MORE]:
        ids = tokenizer(text).input_ids
        bare = tokenizer(text, add_special_tokens=False).input_ids
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        cases.append({"text": text, "ids": ids, "bare": bare, "decoded": decoded})
    document = json.dumps({"vocabulary": len(tokenizer), "cases": cases}, ensure_ascii=False, indent=1)
    (FIXTURES / "tokenizer-llama-micro.json").write_text(document + "\n")


if __name__ == "__main__":
    main()

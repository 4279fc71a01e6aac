"""Mathematical reasoning fixtures: the Alpaca prompt, token ids and labels, transformers' loss on responses, and small files
in the formats in which MetaMathQA and GSM8K are published.

Writes tests/fixtures/reasoning/ (README.md has the layout).
"""

import json

import pyarrow
import pyarrow.parquet
import torch
from transformers import PreTrainedTokenizerFast

from common import FIXTURES, save
from llama import IGNORED, load

FOLDER = FIXTURES / "reasoning"

PROMPT_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
PROMPT_NO_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)

METAMATH = [
    {
        "type": "GSM_Rephrased",
        "query": "Mia plants 4 rows of 6 tulips and 5 roses. How many flowers does she plant?",
        "original_question": "Mia plants 4 rows of 6 tulips. She also plants 5 roses. How many flowers is that?",
        "response": "Mia plants 4 * 6 = 24 tulips.\nWith the roses that is 24 + 5 = 29 flowers.\n#### 29\nThe answer is: 29",
    },
    {
        "type": "MATH_AnsAug",
        "query": "What is $\\frac{1}{2} + \\frac{1}{3}$? Express your answer as a common fraction.",
        "original_question": "What is $\\frac{1}{2} + \\frac{1}{3}$? Express your answer as a common fraction.",
        "response": "We have $\\frac{3}{6} + \\frac{2}{6} = \\boxed{\\frac{5}{6}}$. The answer is: \\frac{5}{6}",
    },
    {
        "type": "MATH_SV",
        "query": "Find the unknown variable X.\nThe sum of X and 7 is 19.\n\nGive X – naïvely, if you like.",
        "original_question": "What is 19 - 7?",
        "response": "X + 7 = 19, so X = 12. The answer is: 12",
    },
    {
        "type": "GSM_FOBAR",
        "query": "A coat costs $1,250 after a discount of $x.\n",
        "original_question": "A coat costs {braces} and % signs.",
        "response": " The coat cost $1,300, so x = 50.\nThe answer is: 50",
    },
]

GSM8K = [
    {
        "question": "Tom reads 12 pages a day for 5 days. How many pages does he read?",
        "answer": "Tom reads 12 * 5 = <<12*5=60>>60 pages.\n#### 60",
    },
    {
        "question": "A farm sells 1,500 eggs at $0.20 each and 40 hens at $12 each. How much does it earn?",
        "answer": "The eggs earn 1500 * .2 = $<<1500*.2=300>>300.\nThe hens earn 40 * 12 = $<<40*12=480>>480.\n"
        "That is 300 + 480 = $<<300+480=780>>780.\n#### 780",
    },
    {
        "question": "A debt of $2,000 is halved, then $100 is paid. What is the balance?",
        "answer": "Half is 2000 / 2 = <<2000/2=1000>>1,000.\nThe balance is -1000 + 100 = <<-1000+100=-900>>-900.\n#### -900",
    },
]


def prompt(query: str) -> str:
    instruction, *rest = query.split("\n")
    input = "\n".join(rest)
    if input == "":
        return PROMPT_NO_INPUT.format_map({"instruction": instruction})
    return PROMPT_INPUT.format_map({"instruction": instruction, "input": input})


def dump(name: str, document: object) -> None:
    (FOLDER / name).write_text(json.dumps(document, indent=1) + "\n")


def prompts() -> None:
    dump("alpaca.json", [{"query": row["query"], "prompt": prompt(row["query"])} for row in METAMATH])


def encode(tokenizer: PreTrainedTokenizerFast, query: str, response: str, max_length: int) -> dict[str, list[int]]:
    """As Alpaca's training code does it: the whole text at once, the prompt's own length masked."""
    settings = {"truncation": True, "max_length": max_length}
    source = prompt(query)
    ids = tokenizer(source + response + tokenizer.eos_token, **settings)["input_ids"]
    length = len(tokenizer(source, **settings)["input_ids"])
    return {"ids": ids, "labels": [IGNORED] * min(length, len(ids)) + ids[length:]}


def tokens() -> None:
    cases = []
    for name, begin, end in [("tokenizer-metaspace", "<s>", "</s>"), ("tokenizer-bytes", None, "<|endoftext|>")]:
        file = str(FIXTURES / name / "tokenizer.json")
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, bos_token=begin, eos_token=end)
        for row in METAMATH:
            for cut in [512, len(tokenizer(prompt(row["query"]))["input_ids"]) + 5]:
                case = {"tokenizer": name, "query": row["query"], "response": row["response"], "maxLength": cut}
                cases.append(case | encode(tokenizer, row["query"], row["response"], cut))
    (FOLDER / "tokens.json").write_text(
        "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n"
    )


def losses(name: str, seed: int) -> None:
    """Rows of different lengths, padded on the right; the last is counted from its first token on."""
    model = load(name)
    generator = torch.Generator().manual_seed(seed)
    lengths, starts = [11, 8, 5, 9], [4, 7, 2, 0]
    input_ids = torch.randint(3, model.config.vocab_size, (4, 11), generator=generator)
    attention_mask = torch.tensor([[1] * n + [0] * (11 - n) for n in lengths])
    input_ids[attention_mask == 0] = 0
    labels = input_ids.masked_fill(attention_mask == 0, IGNORED)
    for row, start in enumerate(starts):
        labels[row, :start] = IGNORED
    loss = model(input_ids, attention_mask=attention_mask, labels=labels).loss
    loss.backward()
    tensors = {"input_ids": input_ids, "labels": labels, "loss": loss}
    gradients = {f"grad.{key}": parameter.grad for key, parameter in model.named_parameters()}
    save(FOLDER / f"{name}.safetensors", tensors | gradients)


def published() -> None:
    (FOLDER / "metamath.json").write_text(json.dumps(METAMATH, indent=4, ensure_ascii=False))
    (FOLDER / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GSM8K))
    for name, rows, settings in [
        ("metamath", METAMATH, {"compression": "snappy"}),
        ("gsm8k", GSM8K, {"compression": "zstd", "data_page_version": "2.0"}),
    ]:
        table = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(table, FOLDER / f"{name}.parquet", row_group_size=2, **settings)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    prompts()
    tokens()
    losses("llama-grouped", seed=80)
    losses("llama-tied", seed=81)
    published()

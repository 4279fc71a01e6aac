"""Greedy decoding by transformers and by ours, a round of each in turn, so that other load is shared alike:

    python scripts/tools/bench/decoding.py MODEL [BACKEND:PRECISION ...] [--rows 1,8] [--tokens 32] [--rounds 4]

MODEL is a Hugging Face folder. transformers computes in float32. Prints tokens a second: the best round's and the median.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("contenders", nargs="*", default=["tensorflow:float32", "tensorflow:bf16"])
parser.add_argument("--rows", default="1,8")
parser.add_argument("--tokens", type=int, default=32)
parser.add_argument("--rounds", type=int, default=4)
given = parser.parse_args()

here = Path(__file__).parent
deno = ["deno", "run", "-A", "--no-lock", "--quiet", str(here / "decoding.ts"), given.model]
environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
ours = {
    name: subprocess.Popen(
        ["env", *(f"{key}={value}" for key, value in environment.items()), *deno, *name.split(":")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here.parents[2],
    )
    for name in given.contenders
}
model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32).eval()
model.generation_config.eos_token_id = None


def theirs(rows: int, tokens: int) -> tuple[float, list[int]]:
    ids = torch.tensor([[(i * 37 + row * 11) % 200 + 20 for i in range(12)] for row in range(rows)])
    began = time.perf_counter()
    found = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    return time.perf_counter() - began, found[0, 12:20].tolist()


def asked(name: str, rows: int, tokens: int) -> tuple[float, list[int]]:
    if name == "transformers":
        return theirs(rows, tokens)
    ours[name].stdin.write(f"{rows} {tokens}\n")
    ours[name].stdin.flush()
    made = json.loads(ours[name].stdout.readline())
    return made["seconds"], made["begins"]


for rows in map(int, given.rows.split(",")):
    names = ["transformers", *ours]
    begins = {name: asked(name, rows, 3)[1] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(given.rounds):
        for name in names:
            taken, begins[name] = asked(name, rows, given.tokens)
            seconds[name].append(taken)
    for name in names:
        speed = [rows * given.tokens / each for each in seconds[name]]
        base = [rows * given.tokens / each for each in seconds["transformers"]]
        print(json.dumps({
            "rows": rows, "name": name, "best": round(max(speed), 1), "median": round(statistics.median(speed), 1),
            "ratio of bests": round(max(speed) / max(base), 2),
            "ratio of medians": round(statistics.median(speed) / statistics.median(base), 2),
            "same": begins[name] == begins["transformers"],
        }), flush=True)
for process in ours.values():
    process.stdin.close()

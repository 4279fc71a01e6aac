"""What another reader makes of a GGUF file: Python's `gguf`, and transformers, which runs it.

    pip install gguf
    python read_gguf.py FILE [TEXT]   # keys and tensors; with TEXT, what transformers answers greedily
"""

import json
import sys
from pathlib import Path

from gguf import GGUFReader

file = Path(sys.argv[1])
reader = GGUFReader(file)
fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
print(json.dumps({
    "fields": {name: value if not isinstance(value, list) else len(value) for name, value in fields.items()},
    "tensors": {t.name: [t.tensor_type.name, [int(n) for n in t.shape]] for t in reader.tensors},
}, indent=1)[:6000])

if len(sys.argv) > 2:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    ids = tokenizer(sys.argv[2], return_tensors="pt", add_special_tokens=False)
    answer = model.generate(**ids, max_new_tokens=24, do_sample=False)[0][ids["input_ids"].shape[1]:]
    print("answer:", json.dumps(tokenizer.decode(answer)))

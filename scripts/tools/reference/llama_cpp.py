"""What llama.cpp itself makes of a GGUF file: its own quantiser, and its greedy answers.

    pip install llama-cpp-python          # builds llama.cpp; needs cmake and a C++ compiler
    python llama_cpp.py quantise FILE OUT Q4_K_M
    python llama_cpp.py answer FILE TEXT [LORA]   # 24 tokens; with LORA, an adapter's GGUF file on top

It multiplies quantised weights with activations that it rounds to 8 bits too, so that answers of two readers of one file
may part where two tokens are nearly as likely.
"""

import sys

sys.path = [folder for folder in sys.path if not folder.endswith("reference")]  # this file has the package's name
from llama_cpp import Llama, llama_cpp  # noqa: E402


def quantise(source: str, out: str, form: str) -> None:
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{form}")
    code = llama_cpp.llama_model_quantize(source.encode(), out.encode(), llama_cpp.ctypes.byref(params))
    if code != 0:
        raise SystemExit(f"llama.cpp returned {code}")


def answer(file: str, text: str, lora: str | None = None) -> None:
    model = Llama(file, n_ctx=256, lora_path=lora, verbose=False)
    found: list[int] = []
    for token in model.generate(model.tokenize(text.encode(), add_bos=False, special=True), temp=0.0, repeat_penalty=1.0):
        if token == model.token_eos() or len(found) == 24:
            break
        found.append(token)
    print(repr(model.detokenize(found).decode()))


{"quantise": quantise, "answer": answer}[sys.argv[1]](*sys.argv[2:])

"""What Python's Jinja writes by several hundred small templates, as transformers calls it: tests/fixtures/chat-ways.json."""

import json
import tempfile
from pathlib import Path

from chat import tokenizer

HERE = Path(__file__).parent
OUT = HERE.parents[2] / "tests" / "fixtures" / "chat-ways.json"
CONFIG = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": {"content": "</s>", "__type": "AddedToken"}}
CALL = {"type": "function", "id": "abc", "function": {"name": "f", "arguments": {"x": 2.0, "y": [1, None, "é"], "z": True}}}
TOOLS = [{"type": "function", "function": {"name": "f", "description": "does é", "parameters": {"type": "object", "properties": {"x": {"type": "number", "default": 2.0}, "y": {"type": "string"}}}}}]  # fmt: skip
CHATS = [
    {"messages": [{"role": "user", "content": "  Ünïcode 😀 'quo\"te' <b>&amp;</b>\n{{ x }} ", "name": None}]},
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": None, "reasoning": "why", "tool_calls": [CALL]},
            {"role": "tool", "name": "f", "content": "{\"a\": 1}"},
            {"role": "assistant", "content": "<think>\nhm\n</think>\n\nanswer", "tool_calls": None},
            {"role": "user", "content": ""},
        ],
        "tools": TOOLS,
        "open": True,
    },
    {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "tools": []},
]


def main():
    templates = json.loads((HERE / "chat_templates.json").read_text())
    rows = []
    for template in templates:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "chat_template.jinja").write_bytes(template.encode())
            (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))
            reader = tokenizer(folder)
            texts = []
            for chat in CHATS:
                try:
                    text = reader.apply_chat_template(
                        chat["messages"], tools=chat.get("tools"), add_generation_prompt=chat.get("open", False), tokenize=False
                    )
                except Exception:  # whatever it is: the template is refused for these messages
                    text = None
                texts.append(text)
        rows.append({"template": template, "texts": texts})
    # A line a template; numbers as Python writes them.
    chats = json.dumps(CHATS)
    OUT.write_text(json.dumps({"config": CONFIG, "chats": chats, "rows": lasting(rows)}).replace('{"template"', '\n{"template"') + "\n")
    print(len(rows), "templates")


def lasting(rows):
    """Those that write the same in every run: no addresses in memory."""
    return [row for row in rows if not any(text and " at 0x" in text for text in row["texts"])]


if __name__ == "__main__":
    main()

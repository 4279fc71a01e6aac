"""Chats as transformers writes them by models' own templates: tests/fixtures/chat.json."""

import json
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).parents[3] / "tests" / "fixtures" / "chat.json"

# Of the kinds that published models of the family have, written anew: ChatML with a default system text, LLaMA 2's and 3's.
CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}
    {% set loop_messages = messages[1:] %}
    {% set system_message = messages[0]['content'] %}
{% else %}
    {% set loop_messages = messages %}
    {% set system_message = false %}
{% endif %}
{% for message in loop_messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {% endif %}
    {% if loop.index0 == 0 and system_message != false %}
        {% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {% else %}
        {% set content = message['content'] %}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {% elif message['role'] == 'assistant' %}
        {{ ' '  + content.strip() + ' ' + eos_token }}
    {% endif %}
{% endfor %}"""
LLAMA3 = """{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
# What Python's Jinja does in its own way: values as Python writes them, equality, ends that strip takes away, loops that are left.
OWN_WAYS = [
    "{{ true }} {{ none }} {{ [1, 'a', none, true] }} {{ {'a': [1.5, false]} }} {{ (1, \"it's\") }} {{ 2.0 }}",
    "{{ 'a' ~ true ~ none ~ 1 }} {{ messages[0].nothing is defined }} {{ messages[0].nothing }}",
    "{{ '1' == 1 }} {{ true == 1 }} {{ none == false }} {{ [1, [2]] == [1, [2]] }} {{ {'a': 1} != {'a': 1} }} {{ '' == false }}",
    "{% for m in messages %}<{{ m.content.strip(' \\n') }}|{{ m.content.rstrip('\\n') }}|{{ m.content.lstrip('x') }}|{{ m.content.strip() }}>{% endfor %}",
    "{% for m in messages %}{{ loop.index }}{% if loop.first %}a{% continue %}{% endif %}{{ m.role }}{% if loop.index == 2 %}b{% break %}{% endif %}c{% endfor %}!",
    "{% for m in messages %}{% for n in [1, 2, 3] %}{{ n }}{% if n == 2 %};{% break %}{% endif %}{% endfor %}{{ m.role }}{% continue %}never{% endfor %}",
    "{% macro f(x) %}{% for y in [1, 2] %}{{ x }}{{ y }}{% break %}{% endfor %}{% endmacro %}{% for m in messages %}{{ f(m.role) }}{{ loop.last }}{% endfor %}",
    "{% if tools is none %}no tools{% endif %} {{ tools is defined }} {{ documents is none }} {{ add_generation_prompt }}",
    "first\r\n{% if true %}\r\nsecond\r\n{% endif %}\r\nthird\r\n",
    "{{ -7 % 3 }} {{ 7 % -3 }} {{ 'aBC dE'|capitalize }}",
]  # fmt: skip
# A row of data as text, whose numbers Python and JavaScript write in different ways, and what templates make of them.
ROW = """{"messages": [{"role": "user", "content": "1.0"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function",
 "function": {"name": "f", "arguments": {"whole": 2.0, "power": 1e3, "small": 0.00001, "smaller": -1.5e-7, "large": 1e16, "larger": 1e22,
 "long": 12345678901234567890, "negative": -0.0, "plain": 3, "tenth": 0.1, "list": [1.0, 2, {"a": 1E+2}], "text": "2.0"}}}]}],
 "tools": [{"type": "function", "function": {"name": "f", "parameters": {"minimum": 0.0, "maximum": 100, "enum": [1.0, 0.5]}}}]}"""
NUMBERS = [
    "{{ messages[1].tool_calls[0].function.arguments | tojson }} {{ tools | tojson(indent=2) }}",
    "{{ messages[1].tool_calls[0].function.arguments }} {{ tools[0].function.parameters['enum'] }}",
    "{% for key, value in messages[1].tool_calls[0].function.arguments.items() %}{{ key }}: {{ value }}; {% endfor %}",
    "{% set a = messages[1].tool_calls[0].function.arguments %}{{ a.whole == 2 }} {{ a.whole > 1 }} {{ a.whole + 1 }} {{ a.whole * a.plain }} {{ a.tenth is number }} {{ a.plain is integer }} {{ a.whole is integer }} {{ a.long > 5 }} {{ a.whole | int }} {{ a.whole ~ 'x' }} {{ a.power | string }}",
]
USER = [{"role": "user", "content": " What is 2 + 2?\n{{ 'as it is' }} "}]
LONG = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi! "},
    {"role": "user", "content": "Ünicode <|im_end|> & \"quotes\""},
]
CONFIG = {"bos_token": "<s>", "eos_token": {"content": "</s>", "__type": "AddedToken"}}


def tokenizer(folder):
    base = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1}, merges=[]))
    base.save(str(folder / "tokenizer.json"))
    return PreTrainedTokenizerFast.from_pretrained(folder)


def main():
    chats = []
    for name, template in {"ChatML": CHATML, "LLaMA 2's template": LLAMA2, "LLaMA 3's template": LLAMA3}.items():
        for where in ("chat_template.jinja", "tokenizer_config.json", "a list in tokenizer_config.json"):
            for messages in (USER, LONG):
                config = dict(CONFIG)
                files = {}
                if where == "chat_template.jinja":
                    files[where] = template
                elif where == "tokenizer_config.json":
                    config["chat_template"] = template
                else:
                    others = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": template}]
                    config["chat_template"] = others
                files["tokenizer_config.json"] = json.dumps(config)
                with tempfile.TemporaryDirectory() as folder:
                    for file, text in files.items():
                        (Path(folder) / file).write_text(text)
                    text = tokenizer(Path(folder)).apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
                chats.append({"name": f"{name} in {where}, {len(messages)} messages", "files": files, "messages": messages, "text": text})
    for number, template in enumerate(OWN_WAYS):
        files = {"chat_template.jinja": template, "tokenizer_config.json": json.dumps(CONFIG)}
        with tempfile.TemporaryDirectory() as folder:
            # As it is: with the ends of lines that it has.
            for file, text in files.items():
                (Path(folder) / file).write_bytes(text.encode())
            text = tokenizer(Path(folder)).apply_chat_template(LONG, add_generation_prompt=True, tokenize=False)
        chats.append({"name": f"Python's ways, {number}", "files": files, "messages": LONG, "text": text})
    row = json.loads(ROW)
    numbers = []
    for template in NUMBERS:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "chat_template.jinja").write_text(template)
            text = tokenizer(Path(folder)).apply_chat_template(row["messages"], tools=row["tools"], tokenize=False)
        numbers.append({"template": template, "text": text})
    OUT.write_text(json.dumps({"chats": chats, "row": ROW, "numbers": numbers}, indent=1) + "\n")
    print(len(chats), "chats")


if __name__ == "__main__":
    main()

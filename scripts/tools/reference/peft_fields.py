"""Writes tests/fixtures/peft-fields.json: every field of PEFT's configuration classes by `peft_type`, with its default."""

import dataclasses
import json

import peft
from peft import IA3Config, LoraConfig, MissConfig, VeraConfig

from common import FIXTURES


def main() -> None:
    made = {"LORA": LoraConfig(), "VERA": VeraConfig(), "MISS": MissConfig(), "IA3": IA3Config()}
    fields = {
        name: {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        for name, config in made.items()
    }
    document = {"version": peft.__version__, "fields": fields}
    text = json.dumps(document, indent=1, default=lambda value: None)
    (FIXTURES / "peft-fields.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

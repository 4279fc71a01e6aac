import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { printable } from "../../dsl/error.ts";
import { readJsonFile } from "../../dsl/files/python_json.ts";
import { openModel } from "../../models/mod.ts";
import { gather, isContiguous } from "../../models/checkpoint/pytorch/gather.ts";
import { openPytorch } from "../../models/checkpoint/pytorch/reader.ts";
import { zip } from "../support/archives.ts";
import { openTokenizer } from "../../models/llama/tokenizer.ts";
import { inFolder } from "../support/data_folder.ts";
import { isWindows } from "../support/system.ts";

/** A failure in one line, in less than ten seconds. */
async function refused(action: () => Promise<unknown>, part: string): Promise<void> {
  const began = performance.now();
  const { message } = await assertRejects(action, OneloraError);
  assertStringIncludes(message, part);
  assert(performance.now() - began < 10_000, message);
}

Deno.test("configurations of absurd sizes are refused by field, before anything is built", () =>
  inFolder(async (folder) => {
    const fixture = "tests/fixtures/vit-rgb";
    const json = JSON.parse(await Deno.readTextFile(`${fixture}/config.json`));
    await Deno.copyFile(`${fixture}/model.safetensors`, `${folder}/model.safetensors`);
    const cases: readonly (readonly [Record<string, unknown>, string])[] = [
      [{ num_hidden_layers: 1e5 }, "num_hidden_layers"],
      [{ num_hidden_layers: 2.5 }, "num_hidden_layers"],
      [{ hidden_size: 1e9 }, "hidden_size"],
      [{ hidden_size: 2 ** 24, intermediate_size: 2 ** 24, num_attention_heads: 4 }, "a configuration of"],
      [{ num_channels: 1e9 }, "num_channels"],
      [{ num_attention_heads: 7 }, '"hidden_size" of config.json: found'],
      [{ model_type: undefined }, "found a config.json without model_type; allowed"],
      [{ model_type: undefined, architecture: "resnet50" }, 'architecture "resnet50"; allowed: timm\'s plain ViTs'],
      [{ model_type: "qwen3" }, 'found model_type "qwen3"; allowed'],
      [{ image_size: 1e9 }, "image_size"],
      [{ id2label: undefined, num_labels: 1e9 }, "num_labels"],
      [{ hidden_size: "\u001b[2J" }, "\\u001b[2J"],
    ];
    for (const [fields, part] of cases) {
      await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...json, ...fields }));
      await refused(() => openModel(folder), part);
    }
  }));

Deno.test("JSON that nests for ever, never closes a string or has no end is refused at once", () =>
  inFolder(async (folder) => {
    const path = `${folder}/config.json`;
    const cases: readonly (readonly [string, string])[] = [
      ['{"a":'.repeat(1e6), "nesting"],
      [`{"a":${"[".repeat(1e6)}`, "nesting"],
      [`{"a":"${'\\"'.repeat(2e6)}`, "a string without an end"],
      ["x".repeat(2 ** 24 + 1), "at most"],
    ];
    for (const [text, part] of cases) {
      await Deno.writeTextFile(path, text);
      await refused(() => readJsonFile(path), part);
    }
    await refused(() => readJsonFile(folder), "a folder");
    if (!isWindows) await refused(() => readJsonFile("/dev/zero"), "a device or pipe");
  }));

Deno.test("a tokenizer whose pattern may take for ever is refused with the pattern", () =>
  inFolder(async (folder) => {
    const fixture = "tests/fixtures/tokenizer-bytes";
    const json = JSON.parse(await Deno.readTextFile(`${fixture}/tokenizer.json`));
    await Deno.copyFile(`${fixture}/tokenizer_config.json`, `${folder}/tokenizer_config.json`);
    const split = { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated", invert: false };
    const pre = { type: "Sequence", pretokenizers: [split, json.pre_tokenizer] };
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify({ ...json, pre_tokenizer: pre }));
    await refused(() => openTokenizer(folder), '"(a+)+$", a repeated group');
  }));

Deno.test("pickles that share a dict a million times are looked through once", () =>
  inFolder(async (folder) => {
    const path = `${folder}/model.pt`;
    const text = (name: string) => [0x8c, name.length, ...new TextEncoder().encode(name)];
    const number = (value: number) => [0x4a, value & 255, value >> 8 & 255, value >> 16 & 255, value >> 24];
    // A dict of 200,000 numbers, then a dict that holds it 200,000 times: 4e10 looks without care.
    const many = Array.from({ length: 200_000 }, (_, i) => i);
    const pickle = [0x80, 2];
    pickle.push(0x7d, 0x28);
    for (const i of many) pickle.push(...number(i), 0x4e);
    pickle.push(0x75, 0x71, 0, 0x30, 0x7d, 0x28);
    for (const i of many) pickle.push(...number(i), 0x68, 0);
    pickle.push(...text("end"), 0x4e, 0x75, 0x2e);
    await Deno.writeFile(path, zip({ "model/data.pkl": Uint8Array.from(pickle) }));
    await refused(() => openPytorch(path), "a dict of 200001 entries");
  }));

Deno.test("what is printed moves no cursor and has an end", () => {
  assertEquals(printable("a\u001b[31mb\u0007\u009b\u202ec\n d\te"), "a\\u001b[31mb\\u0007\\u009b\\u202ec d e");
  assertEquals(printable("é 漢字 😀"), "é 漢字 😀");
  const { message } = new OneloraError({ attempted: "a\nb", found: "x".repeat(1e6), allowed: "\u001b]0;title\u0007" });
  assert(message.length < 2200);
  assertStringIncludes(message, "(1000000 characters); allowed: \\u001b]0;title\\u0007");
});

Deno.test("a tensor with an axis of none is empty at once, however long the others are", () => {
  const storage = { kind: "storage", key: "0", dtype: "F32", count: 4 } as const;
  const tensor = { kind: "tensor", storage, offset: 0, shape: [2 ** 50, 0], stride: [1, 1] } as const;
  assertEquals(gather(tensor, new ArrayBuffer(0), 4).byteLength, 0);
  assert(isContiguous(tensor));
});

/**
 * Flags that do something: what a command's help lists is what the command acts on.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { key, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { taskKinds } from "../../tasks/kinds.ts";
import { silent } from "../../tasks/trainer/observe.ts";
import { evaluationSettings, ownSettings } from "../../tasks/trainer/settings.ts";
import { kebab } from "../../tasks/trainer/setting.ts";
import { ELSEWHERE } from "../../scripts/cli/elsewhere.ts";
import { trainFlags } from "../../scripts/cli/options.ts";
import { failure, output } from "../support/command.ts";
import { inFolder } from "../support/data_folder.ts";

const root = fileOf(new URL("../../", import.meta.url));
const commands = [...Deno.readDirSync(`${root}scripts/commands`)].map(({ name }) => name)
  .filter((name) => name.endsWith(".ts")).map((name) => name.slice(0, -".ts".length)).sort();

/** The flags that a command's help lists. */
async function listed(command: string): Promise<readonly string[]> {
  const help = await output(command, "--help");
  return [...help.matchAll(/^ {2}--(?:\[no-\])?([\w-]+)/gm)].map(([, name]) => name)
    .filter((name) => name !== "help" && name !== "config");
}

const camel = (name: string) => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** A command's code, what declares its flags left out. */
function codeOf(command: string): string {
  const folder = `${root}scripts/commands/${command}`;
  const parts = [`${folder}.ts`];
  try {
    for (const { name } of Deno.readDirSync(folder)) if (name.endsWith(".ts")) parts.push(`${folder}/${name}`);
  } catch { /* Most are one file. */ }
  const declarations = /^(?:export )?const \w*[fF]lags = \{.*?^\};$/gms;
  return parts.map((path) => Deno.readTextFileSync(path).replace(declarations, "").replace(/^ *(\/\/|\*).*$/gm, ""))
    .join("\n");
}

Deno.test("every flag of every command's help is acted on by its code, or passed on to what is tested by itself", async () => {
  assert(commands.length >= 14);
  const settings = new Set(Object.values(taskKinds).flatMap((kind) => Object.keys(ownSettings(kind))));
  const all = new Set<string>();
  for (const command of commands) {
    const code = codeOf(command);
    const written = await listed(command);
    written.forEach((name) => all.add(name));
    const names = written.map(camel);
    assert(names.length > 0, command);
    const passed = command === "train" || command === "sweep"
      ? Object.keys(trainFlags)
      : command === "evaluate"
      ? [...settings]
      : command === "generate"
      ? Object.values(taskKinds).flatMap(({ making }) => Object.keys(making?.settings ?? {}))
      : [];
    const method = command === "params" ? ["rank", "alpha", "dropout", "target"] : [];
    const idle = names.filter((name) =>
      !passed.includes(name) && !method.includes(name) && !new RegExp(`\\b${name}\\b`).test(code)
    );
    assertEquals(idle, [], command);
  }
  // What other tools' names lead to is there.
  assertEquals(Object.values(ELSEWHERE).filter((name) => !all.has(name)), []);
});

/** What a small evaluation of each task is given. */
const SMALL: Readonly<Record<string, { readonly data: string; readonly own: Readonly<Record<string, unknown>> }>> = {
  "image-classification": { data: "fashion-mnist-turned", own: {} },
  reasoning: { data: "word-problems-b", own: { samples: 1, answerTokens: 2 } },
  depth: { data: "scenes-indoor", own: {} },
  generation: { data: "letters", own: { samples: 4, samplingSteps: 2, features: "vit-micro" } },
  text: { data: "texts.jsonl", own: { samples: 1, length: 16 } },
};

Deno.test("evaluate has those of a task's own flags that its evaluation reads", async () => {
  await useBackend("wasm");
  await inFolder(async (folder) => {
    const texts = Array.from(
      { length: 4 },
      (_, i) => JSON.stringify({ prompt: `${i} + 1 is`, completion: ` ${i + 1}` }),
    );
    await Deno.writeTextFile(`${folder}/texts.jsonl`, texts.join("\n"));
    for (const [name, kind] of Object.entries(taskKinds)) {
      const { data: spec, own: values } = SMALL[name];
      const read = new Set<string>();
      const own = new Proxy(values, {
        get: (target, setting) => {
          read.add(String(setting));
          return Reflect.get(target, setting);
        },
      });
      const model = await openModel(kind.model);
      const loaded = await loadParams(model, key(0));
      const run = { data: spec.endsWith(".jsonl") ? `${folder}/${spec}` : spec, limit: 4, own };
      const data = await kind.openData(run.data, run);
      try {
        await kind.evaluate({ model, layer: model.layer, params: loaded.params }, data, run, silent);
      } finally {
        dispose(loaded.params as Record<string, Tensor>);
      }
      assertEquals(Object.keys(evaluationSettings(kind)).filter((setting) => !read.has(setting)), [], name);
      // Texts are made ready as in training, packed ones too; what is judged is not packed.
      const others = Object.keys(ownSettings(kind)).filter((setting) =>
        !Object.hasOwn(evaluationSettings(kind), setting) && setting !== "pack"
      );
      assertEquals(others.filter((setting) => read.has(setting)), [], name);
    }
  });
  const flags = await listed("evaluate");
  for (const setting of ["augment", "classWeights", "preview", "pack"]) {
    assert(!flags.includes(kebab(setting)), setting);
  }
  for (const setting of ["flip", "columns", "features", "heldOut"]) assert(flags.includes(kebab(setting)), setting);
});

Deno.test("flags that others leave without effect are refused by name", async () => {
  const micro = ["--model", "vit-micro", "--data", "mnist"];
  const train = ["--steps", "1", "--limit", "4", "--backend", "wasm"];
  const adapter = ["--model", "llama-micro", "--adapter", "nowhere", "--out", "nowhere/x"];
  const tries: readonly (readonly [string, readonly string[], string])[] = [
    ["evaluate", [...micro, "--augment"], 'found "--augment"'],
    ["evaluate", [...micro, "--class-weights", "balanced"], 'found "--class-weights"'],
    ["evaluate", [...micro, "--samples", "3"], "found --samples, which acts in training alone"],
    ["evaluate", [...micro, "--flip"], "found --flip, another task's"],
    ["train", [...train, "--adapter", "bitfit", "--rank", "2"], 'setting --rank 2: found adapter "bitfit"'],
    ["train", [...train, "--adapter", "1lora", "--alpha", "2"], 'setting --alpha 2: found adapter "1lora"'],
    [
      "train",
      [...train, "--patience", "2"],
      "setting --patience 2: found no evaluations on the way; allowed: --eval-every",
    ],
    ["train", [...train, "--keep", "best"], "setting --keep best: found no evaluations on the way"],
    ["params", ["--adapter", "bitfit", "--rank", "2"], "setting --rank 2"],
    ["export", [...adapter, "--adapter-alone", "--dtype", "f32"], "--dtype f32: found --adapter-alone"],
    ["export", [...adapter, "--to", "peft-lora", "--adapter-alone"], "--adapter-alone: found --to peft-lora"],
    ["page", ["--out", "nowhere/x", "--port", "99"], "found --port beside --out"],
    ["native", ["--addon", "0".repeat(64), "--library", "0".repeat(64), "--sha256", "0".repeat(64)], "--sha256 beside"],
    ["sweep", ["--list", "--json"], "found --json beside --list"],
    ["sweep", ["--list", "--model", "vit-base"], "found --model beside --list alone"],
    ["sweep", ["--list", "--adapters", "lora", "--part", "1/2"], "found --part beside --list"],
    ["sweep", ["--adapters", "lora", "--part", "1/2", "--json"], "found --json beside --part"],
    ["sweep", ["--adapters", "1lora,bitfit", "--rank", "2"], "setting --rank: found 1lora, bitfit"],
    ["generate", ["--model", "llama-micro", "--prompt", "a", "--top-p", "0.5", "--backend", "cpu"], "--top-p 0.5"],
  ];
  for (const [command, args, part] of tries) {
    const [code, line] = await failure(command, ...args);
    assertStringIncludes(line, part, `${command} ${args.join(" ")}`);
    assertEquals(code, 2, line);
  }
});

Deno.test("a sweep gives a rank to those of its methods that have one, and lists itself without a task's name", async () => {
  const table = await output("sweep", "--list", "--adapters", "1lora,lora", "--rank", "2", "--steps", "2");
  assertStringIncludes(table, "| lora ");
});

import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { openSafetensors, sizeOf } from "../../dsl/mod.ts";
import { recordsIn } from "../../tasks/report/records.ts";
import { adapterBytes, failure, json, linesOf, losses, output, runTask, smallCifar } from "../support/command.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const model = "tests/fixtures/vit-rgb";
const common = ["--model", model, "--data", data, "--backend", "wasm", "--batch-size", "8", "--lr", "0.003"];

const short = new Map<number, Promise<string>>();

/** The folder of a run of four steps by its seed, which is trained once; who changes it takes a copy. */
async function shortRun(seed: number): Promise<string> {
  const run = `${folder}/short-${seed}`;
  const settings = ["--steps", "4", "--checkpoint-every", "2", "--seed", `${seed}`, "--out", run];
  if (!short.has(seed)) short.set(seed, output("train", ...common, ...settings));
  await short.get(seed);
  return run;
}

async function copied(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    await (isDirectory ? copied : Deno.copyFile)(`${from}/${name}`, `${to}/${name}`);
  }
}

Deno.test("train writes its settings, a line a step, a summary, the adapter and checkpoints", async () => {
  const run = `${folder}/complete`;
  const shown = await output("train", ...common, "--steps", "6", "--eval-every", "4", "--seed", "3", "--out", run);
  assertMatch(shown, /^1lora +accuracy \d+\.\d\d % {2}loss \d\.\d{4} {2}388 trainable \+ 310 in the head/m);

  const config = await json(`${run}/config.json`);
  assertEquals(config, {
    "task": "image-classification",
    model,
    "adapter": "1lora",
    "target": "all-linear",
    data,
    "steps": 6,
    "batch-size": 8,
    "lr": 0.003,
    "weight-decay": 0.01,
    "schedule": "linear",
    "warmup": 0,
    "clip": 0,
    "seed": 3,
    "backend": "wasm",
    "precision": "float32",
    "gradient-checkpointing": false,
    "shuffle": true,
    "augment": "true",
    "strict": false,
    "eval-every": 4,
    "checkpoint-every": 100,
    "testing": true,
    "pack": false,
    "flip": false,
  });

  const lines = (await linesOf(`${run}/metrics.jsonl`)).map((line) => JSON.parse(line));
  assertEquals(lines.map(({ step }) => step), [1, 2, 3, 4, 5, 6]);
  for (const { loss, lr, seconds } of lines) assert([loss, lr, seconds].every((value) => value > 0));
  assertEquals(lines.filter((line) => "evaluation" in line).map(({ step }) => step), [4, 6]);

  const summary = await json(`${run}/summary.json`);
  assertEquals(Object.keys(summary), [
    ...["task", "model", "adapter", "backend", "threads", "precision", "seed", "parameters", "steps", "seconds"],
    ...[
      "bestSeconds",
      "stepSeconds",
      "memory",
      "otherLoad",
      "peakRssBytes",
      "plannedPeakBytes",
      "deciding",
      "best",
      "metrics",
    ],
    "versions",
  ]);
  const { bestSeconds, memory, otherLoad, threads, versions, ...told } = summary;
  const { seconds, stepSeconds, peakRssBytes, plannedPeakBytes, metrics, best: record, ...fixed } = told;
  assert(threads >= 1 && otherLoad >= 0 && otherLoad < 1);
  await using published = await openSafetensors(`${model}/model.safetensors`);
  const body = published.names.filter((name) => !name.startsWith("classifier."));
  const bodySize = body.reduce((sum, name) => sum + sizeOf(published.info(name).shape), 0);
  assertEquals(fixed, {
    task: "image-classification",
    model,
    adapter: "1lora",
    backend: "wasm",
    precision: "float32",
    seed: 3,
    parameters: { adapter: 388, head: 310, total: bodySize + 310 + 388 },
    steps: 6,
    deciding: { metric: "accuracy", better: "higher" },
  });
  assertEquals(versions.deno, Deno.version.deno);
  assertEquals(record.value, Math.max(lines[3].evaluation.accuracy, lines[5].evaluation.accuracy));
  assert(plannedPeakBytes > 4 * fixed.parameters.total && plannedPeakBytes < peakRssBytes);
  assertStringIncludes(shown, "a step needs ");
  assert(seconds > stepSeconds && stepSeconds > 0 && peakRssBytes > 2 ** 24);
  assert(bestSeconds > 0 && bestSeconds <= seconds);
  assertEquals([Object.keys(memory), memory.peakBytes], [["peakBytes", "share", "wholeBytes"], peakRssBytes]);
  assert(memory.share > 0 && memory.share < 1);
  assertEquals(Object.keys(metrics), ["count", "accuracy", "loss", "top5", "ece"]);
  assertEquals(lines[5].evaluation, metrics);

  assertEquals(
    Array.from(Deno.readDirSync(`${run}/adapter`), ({ name }) => name).sort(),
    ["adapter_config.json", "adapter_model.safetensors"],
  );
  assertStringIncludes(await Deno.readTextFile(`${run}/report.html`), "with 1lora");
  const [events] = Array.from(Deno.readDirSync(run), ({ name }) => name).filter((name) => name.startsWith("events."));
  const mistakes = Array.from(Deno.readDirSync(`${run}/pictures`), ({ name }) => name).filter((name) =>
    name.endsWith(".png")
  );
  assert(mistakes.length > 0 && mistakes.length <= 12, `${mistakes.length}`);
  // The version, six steps, and what is mistaken.
  assertEquals(recordsIn(await Deno.readFile(`${run}/${events}`)).length, 7 + mistakes.length);
  await using last = await openSafetensors(`${run}/checkpoint/last.safetensors`);
  assertEquals(JSON.parse(last.metadata.progress).step, 6);
  await using best = await openSafetensors(`${run}/checkpoint/best.safetensors`);
  assertEquals(best.names, last.names);
});

Deno.test("the same seed gives the same bytes, another seed others", async () => {
  const run = `${folder}/again`;
  const settings = ["--steps", "4", "--checkpoint-every", "2", "--seed", "5", "--out", run];
  const [first, other] = await Promise.all([shortRun(5), shortRun(0), output("train", ...common, ...settings)]);
  assertEquals(await adapterBytes(run), await adapterBytes(first));
  assertNotEquals(await adapterBytes(other), await adapterBytes(first));
});

Deno.test("a checkpoint of another run, an edited, a damaged one and what is none are refused by what differs", async () => {
  const mine = `${folder}/mine`;
  const [whole, other] = await Promise.all([shortRun(0), shortRun(5)]);
  await copied(whole, mine);
  const last = `${mine}/checkpoint/last.safetensors`;
  const good = await Deno.readFile(last);
  const log = await Deno.readTextFile(`${mine}/metrics.jsonl`);
  const refused = async (part: string) => {
    const [code, line] = await failure("train", "--resume", mine, "--steps", "6");
    assertEquals(code, 1, line);
    assertStringIncludes(line, part);
    assertEquals(await Deno.readTextFile(`${mine}/metrics.jsonl`), log);
  };
  await Deno.copyFile(`${other}/checkpoint/last.safetensors`, last);
  await refused("another run's: seed 5, not 0");

  const edited = good.slice();
  edited[edited.length - 3] ^= 1;
  await Deno.writeFile(last, edited);
  await refused("other content than its checksum is of");

  const text = new TextDecoder("latin1").decode(good);
  const at = text.indexOf('\\"epoch\\":0');
  assert(at > 0);
  const moved = good.slice();
  moved[at + 10] = "1".charCodeAt(0);
  await Deno.writeFile(last, moved);
  await refused("checksum");

  await Deno.writeFile(last, good.subarray(0, good.length - 10));
  await refused("last.safetensors");
  await Deno.remove(last);
  await Deno.mkdir(last);
  await refused("found a folder");
  await Deno.remove(last);
  // Without any, it starts again, and says so.
  assertStringIncludes(await output("train", "--resume", mine, "--steps", "6"), "note: no checkpoint in");
  assertEquals((await losses(mine)).length, 6);
});

Deno.test("a finished run that is resumed stays as it is, and can be made longer", async () => {
  const run = `${folder}/finished`;
  await copied(await shortRun(0), run);
  const before = [await adapterBytes(run), await Deno.readTextFile(`${run}/metrics.jsonl`)];
  const summary = await json(`${run}/summary.json`);
  await output("train", "--resume", run);
  assertEquals([await adapterBytes(run), await Deno.readTextFile(`${run}/metrics.jsonl`)], before);
  const { stepSeconds, metrics } = await json(`${run}/summary.json`);
  assertEquals([stepSeconds, metrics], [summary.stepSeconds, summary.metrics]);
  await output("train", "--resume", run, "--steps", "6");
  assertEquals((await losses(run)).map(([step]) => step), [1, 2, 3, 4, 5, 6]);
  assertEquals((await json(`${run}/config.json`)).steps, 6);
  const [code, line] = await failure("train", "--resume", run, "--lr", "1");
  assertEquals(code, 2);
  assertStringIncludes(line, "--lr");
});

Deno.test("a run that diverges stops with one line and keeps a checkpoint from before", async () => {
  const run = `${folder}/diverged`;
  const settings = [...common.slice(0, -1), "1e8", "--steps", "20", "--checkpoint-every", "1", "--out", run];
  const [code, line] = await failure("train", ...settings);
  assertEquals(code, 1);
  const [, at, kept] = /^training step (\d+): found loss (?:NaN|-?Infinity); .*; the checkpoint of step (\d+) is kept$/
    .exec(line)!.map(Number);
  assert(kept > 0 && kept < at - 1, line);
  await using last = await openSafetensors(`${run}/checkpoint/last.safetensors`);
  assertEquals(JSON.parse(last.metadata.progress).step, kept);
  for (const name of last.names) {
    const { data } = await last.read(name);
    assert((data as Float32Array).every(Number.isFinite), name);
  }
  assertEquals((await losses(run)).length, at - 1);
});

Deno.test("unknown names are wrong usage that lists what is allowed and the nearest, and leave nothing behind", async () => {
  const cases: readonly (readonly [args: readonly string[], near: string, allowed: string])[] = [
    [["--bach-size", "3"], "--batch-size", "--weight-decay"],
    [["--adapter", "1lroa"], "1lora", "bitfit"],
    [["--model", "vit-mcro"], "vit-micro", "vit-base"],
    [["--data", "mnits"], "mnist", "cifar10:DIR"],
    [["--target", "querry"], "query", "all-linear"],
    [["--schedule", "cosin"], "cosine", "linear"],
    [["--backend", "wasn"], "wasm", "tensorflow"],
    [["--task", "image-classifcation"], "image-classification", "image-classification"],
  ];
  await Promise.all(cases.map(async ([args, near, allowed], i) => {
    const run = `${folder}/mistyped-${i}`;
    const others = [["--model", model], ["--data", data]].filter(([flag]) => flag !== args[0]).flat();
    const [code, line] = await failure("train", ...others, ...args, "--steps", "1", "--out", run);
    assertEquals(code, 2, line);
    assertStringIncludes(line, `(did you mean "${near}"?)`);
    assertStringIncludes(line.split("allowed: ")[1], allowed);
    assertEquals(await Deno.stat(run).then(() => true, () => false), false);
  }));
});

Deno.test("a folder that cannot be written, an earlier run's and a broken file fail with one line", async () => {
  const taken = `${folder}/taken`;
  await Deno.mkdir(taken);
  await Deno.writeTextFile(`${taken}/config.json`, "{}\n");
  await Deno.writeTextFile(`${folder}/file`, "");
  const broken = `${folder}/broken`;
  await Deno.mkdir(broken);
  await Deno.copyFile(`${model}/config.json`, `${broken}/config.json`);
  const bytes = await Deno.readFile(`${model}/model.safetensors`);
  await Deno.writeFile(`${broken}/model.safetensors`, bytes.subarray(0, bytes.length - 100));
  const cases: readonly (readonly [args: readonly string[], part: string])[] = [
    [["--out", `${folder}/file/below`], "a folder that can be written"],
    [["--out", taken], `--resume ${taken}`],
    [["--model", broken, "--out", `${folder}/unborn`], "model.safetensors"],
  ];
  await Promise.all(cases.map(async ([args, part]) => {
    const rest = args[0] === "--model" ? common.slice(2) : common;
    const [code, line] = await failure("train", ...rest, "--steps", "1", ...args);
    assertEquals(code, 1, line);
    assertStringIncludes(line, part);
  }));
  assertEquals(await Deno.stat(`${folder}/unborn`).then(() => true, () => false), false);
});

Deno.test("images of one's own are read with no more than the tasks' permissions", async () => {
  const specifier = "npm:sharp@0.35.5";
  const { default: sharp } = await import(specifier);
  for (const [name, colour] of [["cat", [220, 20, 20]], ["dog", [20, 20, 220]]] as const) {
    await Deno.mkdir(`${folder}/images/${name}`, { recursive: true });
    for (let i = 0; i < 8; i++) {
      const [r, g, b] = colour.map((value) => value + 3 * i);
      const image = sharp({ create: { width: 20, height: 16, channels: 3, background: { r, g, b } } });
      await Deno.writeFile(`${folder}/images/${name}/${i}.png`, new Uint8Array(await image.png().toBuffer()));
    }
  }
  const run = `${folder}/pets`;
  const pets = ["--model", model, "--data", `images:${folder}/images`, "--backend", "wasm"];
  await output("train", ...pets, "--steps", "20", "--batch-size", "8", "--lr", "0.01", "--out", run);
  assertEquals((await json(`${run}/summary.json`)).metrics.accuracy, 1);
  const { code, out, err } = await runTask("evaluate", "--run", run);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^accuracy 100\.00 %/m);
});

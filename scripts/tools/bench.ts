/**
 * `deno task bench`: measures engines, our training step beside other frameworks', and how it scales. Every measurement
 * runs in a process of its own.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import { addonPath, nativeFolder } from "../../dsl/engine/tensorflow.ts";
import { type BackendName, backendNames, type Precision } from "../../dsl/mod.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
import { precisionPlaces, precisions } from "../../dsl/engine/precision.ts";
import { openModel } from "../../models/mod.ts";
import { chartOf } from "./bench/chart.ts";
import { measureEngines } from "./bench/engines.ts";
import { type FamilyJob, familyJobs } from "./bench/family_job.ts";
import type { StepJob, VitJson } from "./bench/job.ts";
import type { OurAnswer } from "./bench/ours.ts";
import { measure, measureTorch, whyNoTorch } from "./bench/process.ts";
import { draw } from "../cli/child.ts";
import { inWords } from "./bench/report.ts";
import { type ProfileResult, type Results, thisMachine } from "./bench/results.ts";
import { measureScaling } from "./bench/scaling.ts";
import { median } from "./bench/statistics.ts";
import { type Case, type Contender, measureCases } from "./bench/steps.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, type Options, text } from "../cli/mod.ts";
import { modelHelp, usage } from "../cli/options.ts";
import { quantisations } from "../../dsl/quantise.ts";

/** What PyTorch can be measured with. */
const methods: readonly string[] = ["1lora", "lora", "dora", "vera", "bitfit", "all"];

const flags = {
  part: choice({
    help:
      "What to measure: products of each backend; steps beside PyTorch; steps beside other WebAssembly frameworks, or " +
      "through WebGPU; steps of several sizes; published sizes of the other families beside PyTorch (tensorflow backend, 20 GB); the models " +
      "that ship on wasm, on all threads, on one, and on the tensorflow backend",
    allowed: ["all", "engine", "peers", "wasm", "webgpu", "scaling", "families", "micro"],
    default: "all",
  }),
  profile: boolean({ help: "Measure our step kernel by kernel instead (float32)" }),
  model: text({ help: `${modelHelp}, a ViT (default vit-base with the tensorflow backend, else vit-micro)` }),
  batch: text({ help: "Images a step, one or several (default 10,32; 64 for wasm)", value: "N,..." }),
  method: text({
    help: `Methods: ${methods.join(", ")} (default all of them; 1lora where one is enough)`,
    value: "NAME,...",
  }),
  precision: text({
    help: `Precisions: ${precisions.join(", ")} (default all that the backend has)`,
    value: "NAME,...",
  }),
  quantise: choice({ help: "What a language model of `families` is kept in (default bf16)", allowed: quantisations }),
  backend: choice({ help: "Our engine (default tensorflow where it is installed, else wasm)", allowed: backendNames }),
  python: text({ help: "Python with torch, transformers and peft", value: "PATH", default: "python3" }),
  rounds: integer({ help: "Processes of each measurement, in turn with the others' (default 3)", min: 1 }),
  warmup: integer({ help: "Steps of a process before the clock starts (default 2)", min: 0 }),
  repeats: integer({ help: "Steps of a process that are timed (default 3)", min: 1 }),
  quick: boolean({ help: "Less of everything: vit-micro, batch 8, 1LoRA, float32, one round" }),
  json: boolean({ help: "Print JSON" }),
  chart: text({ help: "Write a chart (SVG)", value: "FILE" }),
};

/** Parts that are measured only where they are asked for by name: WebGPU may be there in software alone. */
const byName: ReadonlySet<string> = new Set(["webgpu"]);

/** Names separated by commas. */
function names<Name extends string>(kind: string, given: string, allowed: readonly Name[]): readonly Name[] {
  return given.split(",").map((each) => {
    const found = allowed.find((name) => name === each.trim());
    if (found === undefined) throw unknownName(kind, each.trim(), allowed);
    return found;
  });
}

/** Whole numbers separated by commas. */
function counts(given: string): readonly number[] {
  return given.split(",").map((each) => {
    if (!/^[1-9]\d*$/.test(each.trim())) throw usage("reading --batch", `"${each}"`, "whole numbers, at least 1");
    return Number(each);
  });
}

/** A model's part of a job. */
async function modelJob(name: string): Promise<Pick<StepJob, "config" | "folder">> {
  const { family, config, folder } = await openModel(name);
  if (family !== "vit") throw usage(`measuring ${name}`, `a ${family} model`, "a ViT");
  return { config: config as VitJson, folder: folder && resolve(folder) };
}

/** What is to be measured, with every default settled. */
async function settle(options: Options<typeof flags>) {
  const { quick, part } = options;
  const hasTensorflow = existsSync(resolve(nativeFolder(), addonPath));
  const backend: BackendName = options.backend ?? (hasTensorflow ? "tensorflow" : "wasm");
  const { precisions: computed } = engineKind(backend);
  const isFast = computed.includes("bf16") && !quick;
  const wanted = options.precision ?? (isFast && !options.profile ? computed.join(",") : "float32");
  const common = {
    kind: "step" as const,
    rate: 1e-3,
    weightDecay: 0.01,
    warmup: options.warmup ?? (quick ? 1 : 2),
    repeats: options.repeats ?? (quick ? 2 : 3),
  };
  const cases = async (
    model: string,
    own: BackendName,
    batches: readonly number[],
    chosen: readonly string[],
    kinds: readonly Precision[],
  ): Promise<readonly Case[]> => {
    if (part === "families" || part === "micro") return [];
    const opened = await modelJob(model);
    return batches.flatMap((batch) =>
      kinds.flatMap((precision) =>
        chosen.map((method) => ({ model, job: { ...common, ...opened, backend: own, batch, precision, method } }))
      )
    );
  };
  const model = options.model ?? (isFast ? "vit-base" : "vit-micro");
  const batches = (usual: string) => counts(options.batch ?? (quick ? "8" : usual));
  const chosen = (usual: readonly string[]) =>
    options.method === undefined ? usual : names("method", options.method, methods);
  const kinds = names("precision", wanted, precisions);
  const lacking = kinds.find((each) => !computed.includes(each));
  if (lacking !== undefined) {
    throw usage(
      "choosing a precision",
      `${lacking} on ${backend}`,
      `${lacking} on ${precisionPlaces[lacking]}, or float32`,
    );
  }
  if (kinds.includes("bf16") && options.profile) {
    throw usage("choosing a precision", "bf16 kernel by kernel", "float32: bf16 exists within whole graphs only");
  }
  const measures = (each: typeof part) => !options.profile && (part === each || part === "all" && !byName.has(each));
  return {
    measures,
    rounds: options.rounds ?? (quick ? 1 : 3),
    repeats: common.repeats,
    // Asked for by name alone: it takes minutes and most of a large machine's memory.
    families: part === "families"
      ? await familyJobs({ ...common, backend, warmup: 1, repeats: options.repeats ?? 2 }, "published", {
        models: options.model?.split(","),
        method: options.method,
        quantise: options.quantise,
      })
      : undefined,
    // Asked for by name alone too: it is of use to those who work on the kernels.
    micro: part === "micro"
      ? await familyJobs(
        { ...common, backend: "wasm", warmup: options.warmup ?? 5, repeats: options.repeats ?? 20 },
        "micro",
        { models: options.model?.split(","), method: options.method },
      )
      : undefined,
    peers: part === "families" || part === "micro"
      ? []
      : await cases(model, backend, batches("10,32"), chosen(quick ? ["1lora"] : methods), kinds),
    wasm: await cases(options.model ?? "vit-micro", "wasm", batches("64"), ["1lora"], ["float32"]),
    webgpu: byName.has(part)
      ? await cases(options.model ?? "vit-micro", "webgpu", batches("64"), ["1lora"], ["float32"])
      : [],
    scaling:
      (await cases(model, backend, batches("8").slice(0, 1), chosen(["1lora"]).slice(0, 1), kinds.slice(0, 1)))[0],
  };
}

const ours: Contender = { name: "ours", measure: (job) => measure<OurAnswer>("ours", job) };

/** Ours where PyTorch, on the processor, takes part: a step of a card has nothing to stand beside here. */
const oursBesideTorch: Contender = {
  ...ours,
  measure: async (job) => {
    const answer = await measure<OurAnswer>("ours", job);
    if (answer.onCard) {
      throw new OneloraError({
        attempted: "measuring a step beside PyTorch's on the processor",
        found: "a step that a card computed",
        allowed: "scripts/tools/gpu.ts, which measures both on the card",
      });
    }
    return answer;
  },
};

const oursOfFamily: Contender<FamilyJob> = { name: "ours", measure: (job) => measure("family", job) };

/** Our step on wasm with all its threads, with one, and on the tensorflow backend. */
const oursOnWasm: readonly Contender<FamilyJob>[] = [
  oursOfFamily,
  { name: "ours, one thread", measure: (job) => measure("family", { ...job, threads: 1 }) },
  { name: "ours, tensorflow", measure: (job) => measure("family", { ...job, backend: "tensorflow" }) },
];

async function profileOf({ model, job }: Case): Promise<ProfileResult> {
  const { engine, seconds, kernels = [] } = await measure<OurAnswer>("ours", job, "profile");
  const { method, batch, precision } = job;
  return { model, method, batch, precision, engine, seconds: median(seconds), kernels };
}

/** Measures all that was asked for. */
async function results(options: Options<typeof flags>, note: (line: string) => void): Promise<Results> {
  const { measures, rounds, repeats, peers, wasm, webgpu, scaling, families, micro } = await settle(options);
  const missing = ["engine", "peers", "families"].some((each) => measures(each as typeof options.part))
    ? await whyNoTorch(options.python)
    : undefined;
  if (missing !== undefined) {
    note(`without PyTorch: ${options.python} says ${missing} (pip install torch==2.13.0 transformers peft)`);
  }
  const torch: readonly Contender[] = missing === undefined
    ? [{ name: "pytorch", measure: (job) => measureTorch(options.python, job) }, {
      name: "pytorch, bf16 weights",
      takesPart: ({ precision, method }) => precision === "bf16" && method !== "all",
      measure: (job) => measureTorch(options.python, { ...job, storesHalf: true }),
    }]
    : [];
  const othersOn = (backend: BackendName): readonly Contender[] => [
    { name: `tfjs-${backend}`, measure: (job) => measure("plain", job) },
    { name: "jax-js", measure: (job) => measure("jax", job) },
  ];
  const profile: ProfileResult[] = [];
  if (options.profile) { for (const each of peers) profile.push(await profileOf(each)); }
  return {
    machine: thisMachine(),
    engine: !measures("engine") ? undefined : await measureEngines({
      backends: options.backend === undefined ? backendNames : [options.backend],
      python: missing === undefined ? options.python : undefined,
      quick: options.quick,
      repeats: repeats + 2,
      note,
    }),
    peers: measures("peers") ? await measureCases(peers, [oursBesideTorch, ...torch], rounds, note) : undefined,
    families: families && await measureCases(
      families,
      missing === undefined
        ? [oursOfFamily, {
          name: "pytorch",
          // In bf16, whatever ours are in: larger ones do not fit.
          takesPart: ({ model }) => !model.startsWith("llama-2"),
          measure: (job) => measureTorch(options.python, job),
        }]
        : [oursOfFamily],
      options.rounds ?? 1,
      note,
    ),
    micro: micro && await measureCases(micro, oursOnWasm, rounds, note),
    wasm: measures("wasm") ? await measureCases(wasm, [ours, ...othersOn("wasm")], rounds, note) : undefined,
    webgpu: measures("webgpu") ? await measureCases(webgpu, [ours, ...othersOn("webgpu")], rounds, note) : undefined,
    scaling: measures("scaling")
      ? await measureScaling(scaling.job, rounds, (job) => measure<OurAnswer>("ours", job), note)
      : undefined,
    profile: options.profile ? profile : undefined,
  };
}

await main(
  { name: "bench", summary: "Measures engines and training steps, beside other frameworks.", flags },
  attempt(async ({ options }) => {
    const found = await results(options, (line) => console.error(line));
    console.log(options.json ? JSON.stringify(found, null, 2) : inWords(found));
    if (options.chart !== undefined) await writeWhole(options.chart, await draw(chartOf(found)));
  }),
);

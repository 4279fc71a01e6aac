/**
 * Plans of memory beside what processes take: every case by `params --plan`'s plan, and by the peak of a process of its own.
 *
 *     deno run -A scripts/tools/plans.ts --language FOLDER
 *
 * @module
 */
import { adapt } from "../../adapters/mod.ts";
import { useBackend } from "../../dsl/mod.ts";
import { engineKind, keptForms } from "../../dsl/engine/kinds.ts";
import { mapTree } from "../../dsl/tree.ts";
import { planDecoding } from "../../models/llama/decoder.ts";
import { heldForms } from "../../models/checkpoint/forms.ts";
import { asLanguageModel, openModel } from "../../models/mod.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { parameterTypes, planForward, planTask } from "../../tasks/trainer/plan.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, text } from "../cli/mod.ts";
import type { StepAnswer } from "./bench/job.ts";
import { measure } from "./bench/process.ts";
import { readings } from "./bench/family_job.ts";
import { casesOf, type PlanCase, planCases } from "./plans/cases.ts";

const flags = {
  language: text({ help: "Language model with its weights, of some hundred million parameters", value: "DIR" }),
  cases: text({
    help: "These instead: MODEL WHAT METHOD BATCH[xTOKENS] PRECISION [QUANTISE]",
    value: "CASE,...",
  }),
  only: text({ help: "Cases whose line has one of these in it", value: "TEXT,..." }),
  jobs: integer({ help: "Processes at a time: memory does not depend on it", min: 1, default: 1 }),
  repeats: integer({ help: "Steps of each process", min: 1, default: 3 }),
  backend: choice({ help: "Engine", allowed: ["tensorflow", "wasm"] as const, default: "tensorflow" }),
  plans: boolean({ help: "Plans alone" }),
};

/** The parts of a plan that a line shows. */
interface Planned {
  readonly processBytes: number;
  readonly peakBytes: number;
  readonly calls: number;
  /** What of it is known apart, in MB. */
  readonly parts?: object;
}

/** What a case takes by plan, its tokenizer included. */
async function planned(one: PlanCase, backend: "tensorflow" | "wasm"): Promise<Planned> {
  const model = await openModel(one.model);
  const layer = adapt(one.method)(model.layer);
  const kind = requireTask(model, `planning ${one.model}`);
  const holding = { ...one, reading: readings[one.what] };
  const forms = keptForms(backend, await heldForms(model, layer, holding, engineKind(backend)));
  const settings = { ...one, backend, forms };
  const held = model.folder === undefined ? 0 : await kind.holds?.(model) ?? 0;
  const withHeld = <Plan extends Planned>(plan: Plan) => ({ ...plan, processBytes: plan.processBytes + held });
  if (one.what === "step") {
    const plan = planTask(kind, model, layer, settings);
    const inMegabytes = mapTree((bytes: number) => Math.round(bytes / 1e6));
    return withHeld({
      ...plan,
      parts: { ...inMegabytes({ ...plan.atPeak }), weights: inMegabytes({ ...plan.weights }) },
    });
  }
  if (one.what === "forward") return withHeld(planForward(kind, model, layer, settings));
  const sizes = { ...settings, rows: one.batch, tokens: 256 };
  return withHeld(planDecoding(asLanguageModel(model, layer), parameterTypes(layer), sizes));
}

/** What its process took. */
async function measured(one: PlanCase, backend: "tensorflow" | "wasm", repeats: number): Promise<StepAnswer> {
  const { family, config } = await openModel(one.model);
  const common = { kind: "family" as const, family, config, backend, rate: 1e-3, weightDecay: 0, warmup: 0, repeats };
  return await measure<StepAnswer>("family", { ...one, ...common });
}

function lineOf({ model, what, method, batch, length, precision, quantise }: PlanCase): string {
  const name = model.replace(/\/+$/, "").replace(/.*\//, "");
  return [name, what, method, length === 0 ? batch : `${batch}x${length}`, precision, quantise ?? ""].join(" ").trim();
}

await main(
  { name: "plans", summary: "Plans of memory beside what processes take.", flags },
  attempt(async ({ options: { language, cases: own, only = "", jobs, repeats, backend, plans } }) => {
    const wanted = only.split(",");
    const all = own === undefined ? planCases(language ?? "") : casesOf(own.replaceAll(",", "\n"));
    const cases = all.filter((one) => one.model !== "" && wanted.some((each) => lineOf(one).includes(each)));
    // Processes first: the largest memory that Linux says of one is at least what the process had that started it.
    const found = new Map<PlanCase, StepAnswer>();
    const waiting = plans ? [] : [...cases];
    const workers = Array.from({ length: jobs }, async () => {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
        found.set(one, await measured(one, backend, repeats));
      }
    });
    await Promise.all(workers);
    // What wasm's kernels take is known only once they are there.
    await useBackend(engineKind(backend).embedded ? backend : "cpu");
    const megabytes = (bytes: number) => String(Math.round(bytes / 1e6)).padStart(8);
    console.log(`${"case".padEnd(50)} tensors planned measured  planned/measured, start`);
    for (const one of cases) {
      const { processBytes, peakBytes, calls, parts } = await planned(one, backend);
      const line = `${lineOf(one).padEnd(49)}${megabytes(peakBytes)}${megabytes(processBytes)}`;
      const taken = found.get(one);
      if (taken === undefined) console.log(`${line}  ${calls} calls  ${JSON.stringify(parts)}`);
      else {
        const ratio = (processBytes / taken.peakBytes).toFixed(3);
        console.log(`${line} ${megabytes(taken.peakBytes)}  ${ratio}  ${megabytes(taken.baseBytes)}  ${calls} calls`);
      }
    }
  }),
);

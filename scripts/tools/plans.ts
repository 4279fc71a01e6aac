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
import { formsOf } from "../../models/checkpoint/load.ts";
import { asLanguageModel, openModel } from "../../models/mod.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { parameterTypes, planForward, planTask } from "../../tasks/trainer/plan.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, text } from "../cli/mod.ts";
import type { StepAnswer } from "./bench/job.ts";
import { measure } from "./bench/process.ts";
import { type PlanCase, planCases } from "./plans/cases.ts";

const flags = {
  language: text({ help: "Language model with its weights, of some hundred million parameters", value: "DIR" }),
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

/** What a case takes by plan. */
async function planned(one: PlanCase, backend: "tensorflow" | "wasm"): Promise<Planned> {
  const model = await openModel(one.model);
  const layer = adapt(one.method)(model.layer);
  const kind = requireTask(model, `planning ${one.model}`);
  const settings = { ...one, backend };
  if (one.what === "step") {
    const plan = planTask(kind, model, layer, settings);
    const inMegabytes = mapTree((bytes: number) => Math.round(bytes / 1e6));
    return { ...plan, parts: { ...inMegabytes({ ...plan.atPeak }), weights: inMegabytes({ ...plan.weights }) } };
  }
  if (one.what === "forward") return planForward(kind, model, layer, settings);
  const forms = keptForms(backend, formsOf(layer, one));
  return planDecoding(asLanguageModel(model, layer), parameterTypes(layer), {
    ...settings,
    rows: one.batch,
    tokens: 256,
    forms,
  });
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
  attempt(async ({ options: { language, only = "", jobs, repeats, backend, plans } }) => {
    // What wasm's kernels take is known only once they are there.
    await useBackend(engineKind(backend).embedded ? backend : "cpu");
    const wanted = only.split(",");
    const cases = planCases(language ?? "").filter((one) =>
      one.model !== "" && wanted.some((each) => lineOf(one).includes(each))
    );
    const megabytes = (bytes: number) => String(Math.round(bytes / 1e6)).padStart(8);
    console.log(`${"case".padEnd(50)} tensors planned measured  planned/measured, start`);
    const lines: [string, number, PlanCase][] = [];
    for (const one of cases) {
      const { processBytes, peakBytes, calls, parts } = await planned(one, backend);
      const line = `${lineOf(one).padEnd(49)}${megabytes(peakBytes)}${megabytes(processBytes)}`;
      if (plans) console.log(`${line}  ${calls} calls  ${JSON.stringify(parts)}`);
      else lines.push([line, processBytes, one]);
    }
    const workers = Array.from({ length: jobs }, async () => {
      for (let next = lines.shift(); next !== undefined; next = lines.shift()) {
        const [line, processBytes, one] = next;
        const { peakBytes, baseBytes } = await measured(one, backend, repeats);
        const ratio = (processBytes / peakBytes).toFixed(3);
        console.log(`${line} ${megabytes(peakBytes)}  ${ratio}  ${megabytes(baseBytes)}`);
      }
    });
    await Promise.all(workers);
  }),
);

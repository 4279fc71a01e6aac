/**
 * `deno task params`: trainable parameters of a method on a model, counted from declarations, and with `--plan` the memory
 * of a training step, of loading, forward passes and decoding; no weights are allocated.
 *
 * @module
 */
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { joinMethods, refuseIdle } from "../../adapters/spec.ts";
import { writeNumbers } from "../../dsl/files/json.ts";
import { useBackend } from "../../dsl/mod.ts";
import type { Reading } from "../../dsl/engine/interface.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
import { precisionPlaces, precisions } from "../../dsl/engine/precision.ts";
import { openModel } from "../../models/mod.ts";
import { labelNames } from "../../models/config.ts";
import { methodSettings } from "../../tasks/trainer/settings.ts";
import { planForms, planForward, planLoading, planSteps } from "../../tasks/trainer/plan.ts";
import { holdingOf } from "../../tasks/trainer/holding.ts";
import { whileReading } from "../../tasks/trainer/needs.ts";
import { forwardNeeds } from "../../tasks/trainer/room.ts";
import { requireTask, taskOf } from "../../tasks/kinds.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, text } from "../cli/mod.ts";
import { modelHelp, qkvFlag, quantiseFlag, usage } from "../cli/options.ts";
import { paperNote } from "./params/paper.ts";
import { phaseLines, type Phases, planLines, planOfText } from "./params/plan.ts";
import { heldForms } from "../../models/checkpoint/forms.ts";

const flags = {
  model: text({ help: modelHelp, value: "NAME|DIR", default: "vit-micro" }),
  ...methodSettings,
  ...qkvFlag,
  classes: integer({ help: "Classes to learn", min: 1 }),
  plan: boolean({ help: "Plan the memory of a training step, of loading, forward passes and decoding, too" }),
  batch: integer({ help: "Examples a step, for --plan", min: 1, default: 1 }),
  length: integer({
    help: "Tokens of an example, for --plan of a language model",
    min: 2,
    value: "TOKENS",
    default: 256,
  }),
  precision: choice({
    help: "Precision of frozen weights and matrix products, for --plan",
    allowed: precisions,
    default: "float32",
  }),
  evalBatch: integer({ help: "Examples at a time in evaluations, for --plan (default: the task's)", min: 1 }),
  quantise: { ...quantiseFlag.quantise, help: `${quantiseFlag.quantise.help}, for --plan` },
  gradientCheckpointing: boolean({ help: "Keep only each block's input and recompute the rest, for --plan" }),
  backend: choice({
    help: "Engine to plan for; it need not be installed",
    allowed: ["tensorflow", "wasm", "cpu"] as const,
    default: "tensorflow",
  }),
  json: boolean({ help: "Print JSON" }),
};

await main(
  {
    name: "params",
    summary: "Counts the trainable parameters of a method on a model, and plans a training step's memory.",
    flags,
  },
  attempt(async ({ options }) => {
    const { model: name, adapter, classes, qkv } = options;
    const model = await openModel(name, { labels: classes === undefined ? undefined : labelNames(classes), qkv });
    refuseIdle(adapter, options);
    const method = joinMethods(adapter, taskOf(model)?.besides(model) ?? model.joined);
    const { adapter: trainable, head, total } = parameterCounts(adapt(method, options)(model.layer), model.headPath);
    const counts = { model: name, adapter, trainable, head, total };
    const rows = Object.entries(counts).map(([key, value]) =>
      `${key.padEnd(10)}${typeof value === "number" ? value.toLocaleString("en-US") : value}`
    );
    const note = paperNote(name, adapter, trainable);
    const lines = note === undefined ? rows : [...rows, `note      ${note}`];
    if (!options.plan) return console.log(options.json ? writeNumbers(counts) : lines.join("\n"));

    const { batch, length, precision, gradientCheckpointing, backend, quantise, evalBatch } = options;
    const { precisions: computed, embedded } = engineKind(backend);
    if (!computed.includes(precision)) {
      throw usage(
        `planning in ${precision}`,
        `--backend ${backend}`,
        `${precisionPlaces[precision]}, or --precision float32`,
      );
    }
    // What wasm's kernels take is known only once they are there; no kernel of tensorflow's changes what is recorded.
    await useBackend(embedded ? backend : "cpu");
    const kind = requireTask(model, `planning to train ${name}`);
    const trained = joinMethods(method, kind.besides(model));
    if (quantise !== undefined && kind.compact === undefined) {
      throw usage(`planning in ${quantise}`, `the task ${kind.name}`, "a language model");
    }
    const settings = { batch, length, precision, gradientCheckpointing, backend, quantise };
    const layer = adapt(trained, options)(model.layer);
    const holding = holdingOf(kind, { precision, quantise });
    const formsFor = (reading: Reading) => heldForms(model, layer, { ...holding, reading }, engineKind(backend));
    const forms = await formsFor("steps");
    // A tokenizer is there whatever is done.
    const held = await kind.holds?.(model) ?? 0;
    const withHeld = <Plan extends { readonly processBytes: number }>(plan: Plan): Plan => ({
      ...plan,
      processBytes: plan.processBytes + held,
    });
    const steps = planSteps(kind, model, layer, { ...settings, forms });
    const plan = withHeld(steps.plan);
    const judged = evalBatch ?? kind.evaluationRows(model);
    const kept = { backend, precision, forms: planForms(kind, layer, { ...settings, forms }), after: steps.ran };
    const judging = forwardNeeds(kind, model, { batch: judged, length })(layer, kept) + held;
    const [passing, read] = [await formsFor("passes"), await formsFor("decoding")];
    const phases: Phases = {
      loading: planLoading(layer, { backend, forms: planForms(kind, layer, { ...settings, forms }) }),
      forward: withHeld(planForward(kind, model, layer, { ...settings, forms: passing })),
      train: { rows: judged, processBytes: whileReading(backend, Math.max(plan.processBytes, judging)) },
      decoding: kind.compact === undefined ? undefined : withHeld(planOfText(model, { ...settings, forms: read })),
    };
    const what = [
      kind.sizeInWords(settings),
      precision,
      ...(quantise === undefined ? [] : [quantise]),
      ...(gradientCheckpointing ? ["gradient checkpointing"] : []),
      backend,
    ];
    console.log(
      options.json
        ? writeNumbers({
          ...counts,
          plan: { ...settings, ...plan },
          ...phases,
        })
        : [
          ...lines,
          "",
          `a training step: ${what.join(", ")}`,
          ...planLines(plan),
          ...phaseLines(phases),
        ].join("\n"),
    );
  }),
);

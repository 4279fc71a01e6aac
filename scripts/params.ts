/**
 * `deno task params`: trainable parameters of a method on a model, counted from declarations; no weights are allocated.
 *
 * @module
 */
import { adapt, joinMethods, parameterCounts } from "../adapters/mod.ts";
import { labelNames, openModel } from "../models/mod.ts";
import { attempt } from "./cli/attempt.ts";
import { boolean, integer, main, text } from "./cli/mod.ts";
import { methodFlags, modelHelp, qkvFlag } from "./options.ts";

const flags = {
  model: text({ help: modelHelp, value: "NAME|DIR", default: "vit-micro" }),
  ...methodFlags,
  ...qkvFlag,
  classes: integer({ help: "Classes to learn", min: 1 }),
  json: boolean({ help: "Print JSON" }),
};

await main(
  { name: "params", summary: "Counts the trainable parameters of a method on a model.", flags },
  attempt(async ({ options }) => {
    const { model: name, adapter, classes, qkv } = options;
    const model = await openModel(name, { labels: classes === undefined ? undefined : labelNames(classes), qkv });
    const adapted = adapt(joinMethods(adapter, model.joined), options)(model.layer);
    const { adapter: trainable, head, total } = parameterCounts(adapted, model.headPath);
    const counts = { model: name, adapter, trainable, head, total };
    const rows = Object.entries(counts).map(([key, value]) =>
      `${key.padEnd(10)}${typeof value === "number" ? value.toLocaleString("en-US") : value}`
    );
    console.log(options.json ? JSON.stringify(counts) : rows.join("\n"));
  }),
);

/**
 * `deno task generate`: a model continues a text, printed as it comes, or samples pictures.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import { printable } from "../../dsl/error.ts";
import { openModel } from "../../models/mod.ts";
import type { Holding } from "../../models/checkpoint/forms.ts";
import { quantisations } from "../../dsl/quantise.ts";
import type { Use } from "../../tasks/trainer/room.ts";
import { type Settings, type TaskKind, taskKinds } from "../../tasks/mod.ts";
import { taskOf } from "../../tasks/kinds.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, integer, main, text } from "../cli/mod.ts";
import { modelMeant, openNoting } from "../cli/opened.ts";
import { standardTerminal } from "../cli/terminal.ts";
import { backendFlag, ownFlags, ownOptions, quantiseFlag, trainedFlags, usage } from "../cli/options.ts";

/** The tasks whose models make something. */
const able = Object.values(taskKinds).filter(({ making }) => making !== undefined);

function makingSettings({ making }: TaskKind): Settings {
  return (making?.settings ?? {}) as Settings;
}

const makingFlags = ownFlags(makingSettings);

const flags = {
  ...makingFlags,
  ...trainedFlags,
  model: text({
    help: `${able.map(({ models }) => models).join(", or ")}: preset, Hugging Face folder or hf:ORG/NAME ` +
      "(default: the one that the adapter was trained on)",
    value: "NAME|DIR",
  }),
  seed: integer({ help: "Seed of the sampling, which texts have at a temperature above 0", min: 0, default: 0 }),
  ...quantiseFlag,
  ...backendFlag,
  json: boolean({ help: "Print JSON: text, tokens, and the seconds without loading and compiling" }),
};

/** Writes text as it comes. A vocabulary may hold anything; into a file it goes as it is. */
function write(part: string): void {
  const shown = Deno.stdout.isTerminal() ? part.split("\n").map((line) => printable(line, Infinity)).join("\n") : part;
  for (let rest = new TextEncoder().encode(shown); rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

await main(
  {
    name: "generate",
    summary: `Generates: ${able.map(({ making }) => making!.summary).join(", or ")}.`,
    flags,
  },
  attempt(async ({ options, given }) => {
    const { adapter, seed, backend, threads, json, quantise } = options;
    const name = await modelMeant(options.model, adapter);
    const described = await openModel(name);
    const kind = taskOf(described);
    if (kind?.making === undefined) {
      const allowed = able.map(({ models }) => models).join(", ");
      throw usage(`generating with ${name}`, `a ${described.family} model`, allowed);
    }
    if (quantise !== undefined && kind.compact === undefined) {
      throw usage(`--quantise ${quantise}`, `a ${described.family} model`, "a language model");
    }
    ownOptions(kind, options, given, makingSettings);
    const values: Readonly<Record<string, unknown>> = options;
    const settings = Object.fromEntries(Object.keys(makingSettings(kind)).map((key) => [key, values[key]]));
    const { making } = kind;
    let chosen = "";
    let params: Readonly<Record<string, Tensor>> = {};
    const open = async () => {
      ({ chosen } = await useBackend(backend, { threads }));
      const holding: Holding = kind.compact === undefined
        ? { reading: "passes" }
        : { quantise, ...settings, reading: "decoding" };
      const use: Use = {
        attempted: `generating with ${name}`,
        needs: (model) => making.needs(model, settings),
        changes: kind.compact === undefined ? [] : [
          ["--precision bf16", { precision: "bf16" }],
          ...quantisations.map((quantise) =>
            [`--precision bf16 --quantise ${quantise}`, { precision: "bf16", quantise }] as const
          ),
        ],
      };
      const opened = await openNoting(described.name, adapter, { holding, use });
      params = opened.params;
      return opened;
    };
    try {
      const all = { ...settings, seed };
      const { said, file, data } = making.converse !== undefined && making.isConversation?.(all)
        ? await making.converse(described, open, all, standardTerminal(json ? () => {} : write))
        : await making.make(described, open, all, json ? undefined : write);
      console.error(`${said} (${chosen})`);
      if (json) console.log(JSON.stringify(data ?? { file }));
      else if (file !== undefined) console.log(file);
    } finally {
      dispose(params as Record<string, Tensor>);
    }
  }),
);

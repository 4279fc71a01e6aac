/**
 * How the tables of a page were made, and the figure that belongs to none of them.
 *
 * @module
 */
import { childOutput } from "../../cli/child.ts";
import { moduleArgument, taskArguments, taskEnvironment } from "../../cli/deno.ts";
import type { Section } from "./page.ts";
import type { Configuration } from "./paper.ts";

/** Settings in words. */
function settingsInWords({ settings, first }: Configuration): string {
  const { task, model, data, ...rest } = settings;
  const shown = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
  return `${task}: ${model ?? "the built-in model"} on ${first === undefined ? "" : `${first}, then `}${data}${
    shown.length === 0 ? "" : ` (${shown.join(", ")})`
  }`;
}

/**
 * The protocol of some sweeps, in Markdown.
 *
 * @param parts The sweeps
 */
export function protocolInWords(parts: readonly { readonly configuration: Configuration }[]): string {
  const [{ configuration: { seeds, search } }] = parts;
  const rates = search
    ? "The learning rate of each method is the best of a search (steps of about 3, extended where the best lies at an end) " +
      "with the first seed on training examples held out, the same for all methods and seeds; the test data are read once, " +
      "at the end of each run."
    : "Learning rates are those of the recipes or those that were given.";
  return [
    `Seeds ${seeds.join(", ")}; means ± sample standard deviation. ${rates} Every other setting is the recipe's.`,
    "",
    ...parts.map(({ configuration }) => `- ${settingsInWords(configuration)}`),
  ].join("\n");
}

/**
 * Figure 9 in micro size: trains what it needs, unless that is there.
 *
 * @param folder The sweep's folder
 * @param signal Ends it
 */
export async function figure9(folder: string, signal: AbortSignal): Promise<Section> {
  const out = `${folder}/figure9`;
  const script = moduleArgument(new URL("../align.ts", import.meta.url));
  const table = await childOutput([...taskArguments("align"), script, "--micro", `--out=${out}`], {
    attempted: "aligning updates (Figure 9)",
    env: taskEnvironment("align"),
    signal,
  });
  const caption =
    "Absolute cosine between the principal components of a full update and summation, random vectors and what " +
    "LoRA learned, by kind of layer.";
  const svg = await Deno.readTextFile(`${out}/figure9.svg`);
  return { title: "Figure 9: why summation works", table: `\n${table}`, figures: [{ caption, svg }] };
}

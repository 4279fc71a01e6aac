/**
 * How the tables of a page were made, in words.
 *
 * @module
 */
import type { Settings } from "./folder.ts";

/** How a table was made. */
export interface Protocol {
  /** What all of its runs share. */
  readonly settings: Settings;
  /** Data that were learned first. */
  readonly first?: string;
  /** Its runs. */
  readonly runs: readonly {
    readonly state: string;
    readonly cell: { readonly seed: number; readonly testing?: boolean };
  }[];
}

/** Settings in words. */
function settingsInWords({ settings, first }: Protocol): string {
  const { task, model, data, ...rest } = settings;
  const shown = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
  return `${task ?? "the first task"}: ${model ?? "the built-in model"} on ${
    first === undefined ? "" : `${first}, then `
  }${data ?? "the built-in data"}${shown.length === 0 ? "" : ` (${shown.join(", ")})`}`;
}

/** Seeds of the runs that count. */
function seedsOf({ runs }: Protocol): string {
  const counted = runs.filter(({ state, cell }) => state === "finished" && cell.testing !== false);
  return [...new Set(counted.map(({ cell }) => cell.seed))].sort((a, b) => a - b).join(", ");
}

/** Whether rates were searched. */
function isSearched({ runs }: Protocol): boolean {
  return runs.some(({ cell }) => cell.testing === false);
}

const SEARCHED =
  "The learning rate of each method is the best of a search (steps of about 3, extended where the best lies at an end) " +
  "with the first seed on training examples held out, the same for all methods and seeds; the test data are read once, " +
  "at the end of each run.";

/**
 * The protocol of some tables, in Markdown.
 *
 * @param tables How each was made
 */
export function protocolInWords(tables: readonly Protocol[]): string {
  const [some, all] = [tables.some(isSearched), tables.every(isSearched)];
  const rates = !some
    ? "Learning rates are those of the recipes or those that were given."
    : all
    ? SEARCHED
    : `Where rates were searched: ${SEARCHED.replace(/^T/, "t")}`;
  const lines = tables.map((table) => {
    const search = some && !all && isSearched(table) ? "; rates searched" : "";
    return `- ${settingsInWords(table)}; seeds ${seedsOf(table)}${search}`;
  });
  return [`Means ± sample standard deviation. ${rates} Every other setting is the recipe's.`, "", ...new Set(lines)]
    .join("\n");
}

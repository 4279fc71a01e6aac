/**
 * All tables of the paper in micro size at once: a rate for each method, found on examples held out, four seeds, and every
 * run that several tables need once.
 *
 * @module
 */
import { usage } from "../../cli/options.ts";
import { type Configuration, experiments, microSize } from "./paper.ts";
import { compressionTables, paperTable, paperTables } from "./paper_tables.ts";

/** Tables that are made of the same runs. */
export interface TableGroup {
  /** Name of the folder of their runs. */
  readonly name: string;
  /** What is run for them. */
  readonly configuration: Configuration;
  /** The tables, each with its own methods. */
  readonly tables: readonly { readonly name: string; readonly title: string; readonly methods: readonly string[] }[];
}

/** Seeds of every method. */
const SEEDS: readonly number[] = [0, 1, 2, 3];

/**
 * Training examples held out, by kind of experiment; and as many steps, examples, answers and pictures as tell methods apart
 * where each is run a dozen times.
 */
const PROTOCOL: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "image-classification": { validation: 1000, steps: 100, limit: 5000, samples: 0 },
  // With 60 steps the best rates of most methods were above 3: a scale of 80 m is not learned from rooms so fast.
  "depth": { validation: 200, steps: 120, limit: 400, samples: 0, workers: 0 },
  "reasoning": { validation: 200, steps: 80, samples: 0 },
  "generation": { validation: 1000, steps: 150, samples: 200, "sampling-steps": 20 },
};

/** Where searches begin, by kind of experiment and method: near what earlier ones have found (default: the recipe's rate). */
const STARTS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "image-classification": {
    ...{ head: 0.1, mora1: 0.01, mora6: 0.03, bitfit: 0.03, difffit: 0.03, lora: 0.03, vera: 0.1, dora: 0.03 },
    ...{ norms: 0.03, scale: 0.03, all: 0.003 },
  },
  "depth": { all: 0.003 },
};

/** Where searches of other methods begin, by kind of experiment (default: the recipe's rate). */
const START: Readonly<Record<string, number>> = { "depth": 1 };

/** The order in which groups of tables are run: those that most is asked of first, what samples pictures last. */
const ORDER: readonly string[] = ["S9", "S6", "S10", "S3", "S2", "S4", "S5", "S8"];

/**
 * Which of several groups of tables goes first: the lowest.
 *
 * @param group The group
 */
export function rankOf({ tables }: Pick<TableGroup, "tables">): number {
  const found = ORDER.findIndex((name) => tables.some((table) => table.name === name));
  return found < 0 ? ORDER.length : found;
}

/** Every table, those of S1 as the transfers they are. */
export const allTables: readonly string[] = [...Object.keys(compressionTables), ...Object.keys(paperTables)];

/** What stands for Figure 9 among tables' names. */
export const FIGURE_9 = "figure9";

/**
 * Some tables' names; S1 stands for all of its transfers.
 *
 * @param written Names separated by commas; all of them if undefined
 * @throws OneloraError (exit code 2) for a table that there is not
 */
export function readTables(written: string | undefined): readonly string[] {
  if (written === undefined) return allTables;
  const names = written.split(",").map((name) => name.trim()).flatMap((name) => {
    if (name === "S1") return Object.keys(compressionTables);
    if (name === FIGURE_9) return [];
    if (allTables.includes(name)) return [name];
    throw usage("reading --only", `"${name}"`, ["S1", ...Object.keys(paperTables), FIGURE_9].join(", "));
  });
  return [...new Set(names)];
}

/**
 * Whether Figure 9 is among what was named.
 *
 * @param written The same names
 */
export function namesFigure9(written: string | undefined): boolean {
  return written === undefined || written.split(",").some((name) => name.trim() === FIGURE_9);
}

/** A table's sweep by the common protocol. */
function fairSize(name: string): Configuration {
  const micro = microSize(name);
  const task = `${experiments[paperTable(name).experiment].micro.settings.task}`;
  return {
    ...micro,
    settings: { ...micro.settings, ...PROTOCOL[task] },
    seeds: SEEDS,
    rates: (method) => {
      const start = STARTS[task]?.[method] ?? START[task];
      return start === undefined ? micro.rates(method) : [start];
    },
    search: true,
  };
}

/**
 * Tables by the runs that they share: those of one model, data and first data set.
 *
 * @param names The tables
 * @param adjust What the command line changes of a table's sweep
 */
export function tableGroups(
  names: readonly string[],
  adjust: (configuration: Configuration) => Configuration = (configuration) => configuration,
): readonly TableGroup[] {
  const all = names.map((name) => {
    const whole = fairSize(name);
    const configuration = adjust(whole);
    // Of methods that were named, a table shows its own.
    const methods = whole.methods.filter((method) => configuration.methods.includes(method));
    return { name, configuration: { ...configuration, methods } };
  }).filter(({ configuration: { methods } }) => methods.length > 0);
  const key = ({ configuration: { settings, first } }: typeof all[number]) => JSON.stringify([settings, first]);
  return [...new Set(all.map(key))].map((shared) => {
    const own = all.filter((each) => key(each) === shared);
    const [{ configuration }] = own;
    const methods = [...new Set(own.flatMap(({ configuration: { methods } }) => methods))];
    const { task, data } = configuration.settings;
    const { first } = configuration;
    return {
      name: first === undefined ? `${task}-${data}` : `${task}-${first}-to-${data}`,
      configuration: { ...configuration, methods, title: own.map(({ name }) => `Table ${name}`).join(", ") },
      tables: own.map(({ name, configuration: { title, methods } }) => ({ name, title, methods })),
    };
  });
}

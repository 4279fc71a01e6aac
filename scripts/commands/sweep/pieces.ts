/**
 * What a command's sweeps are: one, those of the transfers of Table S1, or those of all tables.
 *
 * @module
 */
import { taskKind } from "../../../tasks/mod.ts";
import { kebab } from "../../cli/mod.ts";
import { usage } from "../../cli/options.ts";
import { isTakenBy } from "./cell.ts";
import { microTasks } from "../align/micro.ts";
import type { collect } from "./collect.ts";
import type { View } from "./show.ts";
import type { Settings } from "./folder.ts";
import { type Given, passedOn, sweepFlags, type SweepOptions, VALIDATION } from "./options.ts";
import { type Configuration, experiments, fullSize, listedModel, microSize } from "./paper.ts";
import { allTables, rankOf, readTables, tableGroups } from "./paper_all.ts";
import { compressionTables, paperTable } from "./paper_tables.ts";
import { placed, readMethods, readNumbers } from "./plan.ts";

/**
 * A sweep's settings with others in place of some: steps and epochs exclude each other, and without evaluations on the way
 * none of them is best.
 */
function withSettings(settings: Settings, others: Settings): Settings {
  const replaced = [
    ..."steps" in others || "epochs" in others ? ["steps", "epochs"] : [],
    ...others["eval-every"] === 0 ? ["keep"] : [],
  ];
  return { ...Object.fromEntries(Object.entries(settings).filter(([name]) => !replaced.includes(name))), ...others };
}

/** A table's sweep, in the size that was asked for. */
function ofPaper(name: string, { micro, list }: SweepOptions, given: Given): Configuration {
  if (micro) return microSize(name);
  const { experiment, data, first } = paperTable(name);
  if (list) {
    const size = fullSize(name);
    const model = listedModel(experiment);
    return { ...size, settings: { ...size.settings, data, model }, first: first?.data };
  }
  const { model, besides } = experiments[experiment];
  const lacking = (["model", "data"] as const).find((flag) => !given.has(flag));
  if (lacking === undefined) return fullSize(name);
  throw usage(
    `sweeping --paper ${name}`,
    `no --${lacking}`,
    `--data ${data} and --model ${[model, besides].filter((each) => each !== undefined).join(" ")}; or --micro for ` +
      "built-in ones",
  );
}

/** A sweep, or one of those that a table consists of. */
export interface Piece {
  readonly configuration: Configuration;
  /** The paper's table. */
  readonly table?: string;
  /** The folder of its runs inside that of the command. */
  readonly place?: string;
  /** Which of several goes first: the lowest (default: in order). */
  readonly rank?: number;
  /** Tables that show some of its methods each, in folders inside that of the command (default: one that shows all). */
  readonly views?: readonly (Omit<View, "isFull" | "folder"> & { readonly place: string })[];
}

/** The data that a transfer of Table S1 learns, of those that were given. */
function dataOf(given: readonly string[], form: string): string {
  const kind = form.slice(0, form.indexOf(":") + 1);
  const found = given.find((each) => each.startsWith(kind));
  if (found !== undefined) return found;
  throw usage("sweeping --paper S1", `no ${form} in --data`, "kitti:DIR,nyu:DIR,diode-outdoor:DIR");
}

/**
 * What is to be run: Table S1 has a sweep for each transfer.
 *
 * @param options What was said
 * @param given Flags that were given
 * @throws OneloraError (exit code 2) for what does not fit together
 */
export function piecesOf(options: SweepOptions, given: Given): readonly Piece[] {
  const { paper, micro, list, data: named, firstData } = options;
  if (options.only !== undefined && paper !== "all") throw usage("reading --only", "no --paper all", "it beside");
  if (paper === "all") return allParts(options, given);
  if (paper !== "S1") return [{ configuration: configurationOf(options, given), table: paper }];
  if (firstData !== undefined) {
    throw usage("sweeping --paper S1", "--first-data", "the data of all transfers in --data");
  }
  const all = (named ?? "").split(",").map((each) => each.trim());
  return Object.entries(compressionTables).map(([table, { data, first }]) => {
    const own = micro ? options : {
      ...options,
      data: list && named === undefined ? data : dataOf(all, data),
      firstData: list && named === undefined ? first!.data : dataOf(all, first!.data),
    };
    return { table, place: table, configuration: configurationOf({ ...own, paper: table }, given) };
  });
}

/** Every table, or those that were named, by what they share. */
function allParts(options: SweepOptions, given: Given): readonly Piece[] {
  if (!options.micro) {
    throw usage("sweeping --paper all", "no --micro", "it beside, or one table with its own --model and --data");
  }
  const fixed = (["model", "data", "firstData"] as const).find((name) => given.has(name));
  if (fixed !== undefined) throw usage("sweeping --paper all", `--${kebab(fixed)}`, "one table for data of your own");
  const groups = tableGroups(readTables(options.only), (base) => adjusted(base, options, given));
  return groups.map(({ name, configuration, tables }) => ({
    configuration,
    place: `runs/${name}`,
    rank: rankOf({ tables }),
    views: tables.map((table) => ({
      place: table.name,
      paper: table.name,
      title: table.title,
      methods: table.methods,
    })),
  }));
}

/** A sweep with what the command line says of it. */
function adjusted(base: Configuration, options: SweepOptions, given: Given): Configuration {
  const { adapters, seeds, lrs, firstData } = options;
  const isAuto = lrs === "auto";
  const rates = lrs === undefined || isAuto
    ? undefined
    : readNumbers("--lrs", lrs, (rate) => rate > 0 && rate < Infinity, "numbers above 0, or auto alone");
  const isSeed = (seed: number) => Number.isSafeInteger(seed) && seed >= 0;
  const search = isAuto || (base.search === true && rates === undefined);
  const settings = withSettings(base.settings, passedOn(options, given));
  const { limit = Infinity } = settings;
  const needs = search && settings.validation === undefined;
  const methods = adapters === undefined ? base.methods : readMethods(adapters);
  const said = methods.length === 0 ? [] : Object.entries(passedOn(options, given));
  const [idle] =
    said.find(([name, value]) => methods.every((method) => !isTakenBy(placed(method).adapter, name, value))) ?? [];
  if (idle !== undefined) {
    throw usage(`setting --${idle}`, `${methods.join(", ")}, none of which has one`, "a method that has");
  }
  return {
    ...base,
    settings: needs ? { ...settings, validation: Math.min(VALIDATION, Number(limit)) } : settings,
    methods,
    seeds: seeds === undefined ? base.seeds : readNumbers("--seeds", seeds, isSeed, "integers, at least 0"),
    rates: rates === undefined ? base.rates : () => rates,
    first: firstData ?? base.first,
    search,
  };
}

/** What is to be run. */
function configurationOf(
  options: SweepOptions,
  given: Given,
): Configuration {
  const { paper, adapters, micro } = options;
  if (micro && paper === undefined) throw usage("reading --micro", "no --paper", `--paper ${sweepFlags.paper.allowed}`);
  if (paper === undefined && adapters === undefined) {
    throw usage("reading the command line", "nothing to compare", "--adapters SPEC,... or --paper NAME (see --list)");
  }
  const base: Configuration = paper === undefined
    ? { title: "", settings: {}, methods: [], seeds: [0, 1, 2], rates: () => [] }
    : ofPaper(paper, options, given);
  const configuration = adjusted(base, options, given);
  const kind = taskKind(options.task);
  const { model = kind.model, data = kind.data } = configuration.settings;
  return { ...configuration, title: base.title || `${options.task}, ${model}, ${data}` };
}

/**
 * The folder of a sweep that was not given one.
 *
 * @param options What was said
 * @param title The sweep in words
 */
export function folderOf({ paper, micro }: SweepOptions, title: string): string {
  const name = paper === undefined ? title.replace(/[^\w.+=-]+/g, "-") : micro ? `${paper}-micro` : paper;
  return `runs/sweeps/${name}`;
}

/**
 * What the folder of a command about the paper holds when all is done.
 *
 * @param pieces What is run
 * @param options What was said
 * @param folder The folder
 */
export function expectedOf(
  pieces: readonly Piece[],
  { paper, micro }: SweepOptions,
  folder: string,
): Parameters<typeof collect>[1] {
  const isAll = paper === "all";
  const only = (names: readonly string[]) => isAll ? ` --only ${names.join(",")}` : "";
  return {
    tables: isAll ? allTables : pieces.map(({ place = "" }) => place),
    figure9: isAll ? microTasks : [],
    command: (names) => `deno task sweep --paper ${paper}${micro ? " --micro" : ""}${only(names)} --out ${folder}`,
  };
}

/**
 * What of a command's settings holds for the runs of Figure 9.
 *
 * @param options What was said
 * @param given Flags that were given
 */
export function figureFlags(options: SweepOptions, given: Given): readonly string[] {
  return (["steps", "backend", "threads"] as const).filter((name) => given.has(name))
    .map((name) => `--${name}=${options[name]}`);
}

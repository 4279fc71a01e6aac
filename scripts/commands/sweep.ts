/**
 * `deno task sweep`: trains one task with several methods, seeds and learning rates, each run in a process of its own,
 * and compares them as the paper's tables do. The same command again goes on where it was left.
 *
 * @module
 */
import { useBackend } from "../../dsl/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { taskKind } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, kebab, main, type Options, span, text, toConfig } from "../cli/mod.ts";
import { trainFlags, usage } from "../cli/options.ts";
import { interruptible } from "../cli/signals.ts";
import { microTasks } from "./align/micro.ts";
import { collect } from "./sweep/collect.ts";
import { type Executed, note, showSweep, sweepRuns, type Swept, type View } from "./sweep/execute.ts";
import { drawFigure9 } from "./sweep/figure9.ts";
import type { Settings } from "./sweep/folder.ts";
import { listing, sweepCost } from "./sweep/listing.ts";
import { type Configuration, experiments, fullSize, listedModel, microSize, paperList } from "./sweep/paper.ts";
import { allTables, FIGURE_9, namesFigure9, rankOf, readTables, tableGroups } from "./sweep/paper_all.ts";
import { compressionTables, paperTable, paperTables } from "./sweep/paper_tables.ts";
import { type Part, partOf } from "./sweep/part.ts";
import { readMethods, readNumbers } from "./sweep/plan.ts";
import { type CellResult, earlierResult } from "./sweep/run.ts";
import { openSlots } from "./sweep/slots.ts";

const { adapter: _adapter, seed: _seed, lr: _lr, resume: _resume, out: _out, testing: _testing, ...passedFlags } =
  trainFlags;

/** Training examples that a search for rates holds out where nothing is said. */
const VALIDATION = 500;

const sweepFlags = {
  adapters: text({ help: "Methods, as --adapter of train takes them; lora@qkv places one", value: "SPEC,..." }),
  seeds: text({ help: "Seeds (default 0,1,2; the paper's number of runs for its tables)", value: "N,..." }),
  lrs: text({
    help:
      "Peak learning rates; the one with the best mean counts. auto searches one for each method on examples held " +
      "out (default: the recipe's)",
    value: "X,...|auto",
  }),
  paper: choice({
    help: "The methods and the recipe of a table of the paper; all: every table, with --micro",
    allowed: ["S1", ...Object.keys(paperTables), "all"],
  }),
  only: text({ help: `Of --paper all, these tables; ${FIGURE_9} is the figure`, value: "S9,..." }),
  firstData: text({
    help: "Data that the model learns first, with all weights; the methods start from what comes of it",
    value: "DATA",
  }),
  micro: boolean({ help: "That table with a built-in model and data" }),
  list: boolean({ help: "Print the plan of a sweep instead; without --paper and --adapters, the paper's tables" }),
  part: text({
    help: "Be worker K of N that share the folder: run what no other runs (default: a Slurm job array's task)",
    value: "K/N",
  }),
  jobs: integer({ help: "Runs at once; their times are not their own then", min: 1, default: 1 }),
  json: boolean({ help: "Print JSON instead of Markdown" }),
  out: text({ help: "The sweep's folder (default: one under runs/sweeps named after it)", value: "DIR" }),
};

const flags = { ...sweepFlags, ...passedFlags };

/** What was said; a table may be a part of one that the paper has. */
type SweepOptions = Omit<Options<typeof flags>, "paper"> & { readonly paper?: string };
type Given = ReadonlySet<keyof typeof flags>;

/** The settings of `train` that were given, by the names of its flags. */
function passedOn(options: SweepOptions, given: Given): Settings {
  const names = Object.keys(passedFlags) as (keyof typeof passedFlags)[];
  const own = names.filter((name) => given.has(name)).map((name) => [name, options[name]]);
  return toConfig(Object.fromEntries(own)) as Settings;
}

/** A sweep's settings with others in place of some; steps and epochs exclude each other. */
function withSettings(settings: Settings, others: Settings): Settings {
  const { steps: _steps, epochs: _epochs, ...rest } = settings;
  return { ..."steps" in others || "epochs" in others ? rest : settings, ...others };
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
  const lacking = (["model", "data"] as const).find((flag) => !given.has(flag));
  if (lacking === undefined) return fullSize(name);
  throw usage(
    `sweeping --paper ${name}`,
    `no --${lacking}`,
    `--data ${data} and --model ${experiments[experiment].model}; or --micro for built-in ones`,
  );
}

/** A sweep, or one of those that a table consists of. */
interface Piece {
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

/** What is to be run: Table S1 has a sweep for each transfer. */
function configurationsOf(options: SweepOptions, given: Given): readonly Piece[] {
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
  return {
    ...base,
    settings: needs ? { ...settings, validation: Math.min(VALIDATION, Number(limit)) } : settings,
    methods: adapters === undefined ? base.methods : readMethods(adapters),
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

/** The folder of a sweep that was not given one. */
function folderOf({ paper, micro }: SweepOptions, title: string): string {
  const name = paper === undefined ? title.replace(/[^\w.+=-]+/g, "-") : micro ? `${paper}-micro` : paper;
  return `runs/sweeps/${name}`;
}

/** Tables of a sweep; with no run finished, what ended it is the answer, unless it is one of several. */
async function shown(swept: Swept, views: readonly View[], signal: AbortSignal): Promise<readonly Executed[]> {
  const done: Executed[] = [];
  for (const view of views) {
    const executed = await showSweep(swept, view, signal).catch((error) => {
      if (views.length === 1 || !(error instanceof OneloraError)) throw error;
      note(`${view.title}: no run has finished`);
    });
    if (executed !== undefined) done.push(executed);
  }
  return done;
}

/** How many runs there are, and about how long they take. */
async function timeInWords(configurations: readonly Configuration[], jobs: number): Promise<string> {
  await useBackend("cpu");
  const costs = await Promise.all(configurations.map((each) => sweepCost(each, jobs)));
  const runs = costs.reduce((sum, cost) => sum + cost.runs, 0);
  const seconds = costs.reduce((sum, cost) => sum + (cost.seconds ?? 0), 0);
  return `about ${runs} runs, ${
    span(seconds)
  } on two quiet cores with --jobs ${jobs} (a guess); interrupted, the same ` +
    "command goes on";
}

/** What the folder of a command about the paper holds when all is done. */
function expectedOf(
  parts: readonly Piece[],
  { paper, micro }: SweepOptions,
  folder: string,
): Parameters<typeof collect>[1] {
  const isAll = paper === "all";
  const only = (names: readonly string[]) => isAll ? ` --only ${names.join(",")}` : "";
  return {
    tables: isAll ? allTables : parts.map(({ place = "" }) => place),
    figure9: isAll ? microTasks : [],
    command: (names) => `deno task sweep --paper ${paper}${micro ? " --micro" : ""}${only(names)} --out ${folder}`,
  };
}

/** What of a command's settings holds for the runs of Figure 9. */
function figureFlags(options: SweepOptions, given: Given): readonly string[] {
  return (["steps", "backend", "threads"] as const).filter((name) => given.has(name))
    .map((name) => `--${name}=${options[name]}`);
}

/** What came of one of a command's sweeps. */
interface Outcome {
  readonly done: readonly Executed[];
  readonly swept?: Swept;
  readonly failure?: OneloraError;
}

/** Says what a worker has done, and what is left to others. */
async function worked(swept: readonly Swept[], { number, count }: Part): Promise<void> {
  const states = await Promise.all(
    swept.flatMap(({ own, folder }) =>
      own.map(async (result) => result.state === "pending" ? await earlierResult(result.cell, folder) : result)
    ),
  );
  const counted = (state: CellResult["state"]) => states.filter((each) => each.state === state).length;
  const [failed, rest] = [counted("failed"), counted("pending")];
  note(`part ${number}/${count}: ${failed > 0 ? `${failed} failed; ` : ""}${rest} to be done`);
  if (rest === 0) note("the same command without --part makes the tables");
}

await main(
  { name: "sweep", summary: "Compares methods over seeds and learning rates, each run in its own process.", flags },
  attempt(async ({ options, given }) => {
    const { paper, micro, jobs, json, list } = options;
    if (list && paper === undefined && options.adapters === undefined) return console.log(paperList());
    const parts = configurationsOf(options, given);
    const folder = options.out ?? folderOf(options, parts[0]?.configuration.title ?? "");
    if (list) {
      for (const { configuration, table, place } of parts) {
        const preset = table === undefined || micro ? undefined : experiments[paperTable(table).experiment].preset;
        const own = place === undefined ? folder : `${folder}/${place}`;
        console.log(await listing(configuration, { preset, folder: own, jobs }));
      }
      return;
    }
    const part = partOf(options.part);
    const several = paper === "all" || parts.length > 1;
    const slots = openSlots(jobs);
    const stages = new Map<string, Promise<string>>();
    const execute = ({ configuration, table, place, views, rank }: Piece, i: number, signal: AbortSignal) =>
      sweepRuns(configuration, {
        ...{ folder: place === undefined ? folder : `${folder}/${place}`, root: folder, slots, stages, signal, part },
        rank: rank ?? i,
        label: several ? `${views?.map((view) => view.paper).join(", ") ?? table}: ` : "",
      });
    if (part !== undefined) {
      const { signal, listen } = interruptible("saving the state of the run after its step");
      await listen();
      return await worked(await Promise.all(parts.map((piece, i) => execute(piece, i, signal))), part);
    }
    using owned = await claimFolder(folder, "sweep");
    if (owned.note !== undefined) note(owned.note);
    if (parts.some(({ configuration: { search } }) => search) && !given.has("validation") && paper !== "all") {
      const [{ configuration: { settings } }] = parts;
      note(`${settings.validation} training examples are held out to find rates with; --validation says how many`);
    }
    const { signal, listen } = interruptible("saving the state of the runs after their steps");
    await listen();
    const isFull = paper !== undefined && !micro;
    if (paper === "all") note(await timeInWords(parts.map(({ configuration }) => configuration), jobs));
    const outcomes = await Promise.all(parts.map(async (piece, i): Promise<Outcome> => {
      const { configuration, table, views } = piece;
      const swept = await execute(piece, i, signal).catch((error) => {
        // The others go on.
        if (!(error instanceof OneloraError) || !several || error.exitCode !== 1) throw error;
        return error;
      });
      if (swept instanceof OneloraError) return { done: [], failure: swept };
      const done = await shown(
        swept,
        views?.map((view) => ({ ...view, isFull, folder: `${folder}/${view.place}` })) ?? [
          { title: configuration.title, methods: swept.methods, folder: swept.folder, paper: table, isFull },
        ],
        signal,
      );
      return { done, swept, failure: swept.failure };
    }));
    const done = outcomes.flatMap((outcome) => outcome.done);
    const failures = outcomes.flatMap(({ failure }) => failure === undefined ? [] : [failure]);
    const figures = paper === "all" && namesFigure9(options.only) ? microTasks : [];
    if (done.length === 0 && figures.length === 0) throw failures[0];
    const shownFigures: string[] = [];
    if (paper !== undefined) {
      const expected = expectedOf(parts, options, folder);
      if (done.length > 0) await collect(folder, expected);
      for (const task of signal.aborted ? [] : figures) {
        note(`Figure 9, ${task}`);
        const drawn = await drawFigure9(folder, task, figureFlags(options, given), signal).catch((error) => {
          if (!(error instanceof OneloraError)) throw error;
          failures.push(error);
        });
        if (drawn !== undefined) shownFigures.push(drawn);
      }
      if (figures.length > 0) await collect(folder, expected);
      note(`${folder}/paper.html shows it all`);
    }
    const tables = [...done.map(({ table }) => table), ...shownFigures].join("\n\n");
    const data = several ? `[${done.map(({ data }) => data).join(",\n")}]` : done[0].data;
    console.log(json ? data : tables);
    if (failures.length > 0) throw failures[0];
  }),
);

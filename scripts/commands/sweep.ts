/**
 * `deno task sweep`: trains one task with several methods, seeds and learning rates, each run in a process of its own,
 * and compares them as the paper's tables do. The same command again goes on where it was left.
 *
 * @module
 */
import { claimFolder } from "../../dsl/files/claim.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import { taskKind } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, type Options, text, toConfig } from "../cli/mod.ts";
import { trainFlags, usage } from "../cli/options.ts";
import { interruptible } from "../cli/signals.ts";
import { execute, type Executed, note } from "./sweep/execute.ts";
import type { Settings } from "./sweep/folder.ts";
import { listing } from "./sweep/listing.ts";
import { type Configuration, experiments, fullSize, listedModel, microSize, paperList } from "./sweep/paper.ts";
import { compressionTables, paperTable, paperTables } from "./sweep/paper_tables.ts";
import { readMethods, readNumbers } from "./sweep/plan.ts";

const { adapter: _adapter, seed: _seed, lr: _lr, resume: _resume, out: _out, ...passedFlags } = trainFlags;

const sweepFlags = {
  adapters: text({ help: "Methods, as --adapter of train takes them; lora@qkv places one", value: "SPEC,..." }),
  seeds: text({ help: "Seeds (default 0,1,2; the paper's number of runs for its tables)", value: "N,..." }),
  lrs: text({ help: "Peak learning rates; the one with the best mean counts (default: the recipe's)", value: "X,..." }),
  paper: choice({
    help: "The methods and the recipe of a table of the paper",
    allowed: ["S1", ...Object.keys(paperTables)],
  }),
  firstData: text({
    help: "Data that the model learns first, with all weights; the methods start from what comes of it",
    value: "DATA",
  }),
  micro: boolean({ help: "That table with a built-in model and data" }),
  list: boolean({ help: "Print the plan of a sweep instead; without --paper and --adapters, the paper's tables" }),
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
interface Part {
  readonly configuration: Configuration;
  /** The paper's table. */
  readonly table?: string;
  /** Its folder inside that of the command. */
  readonly place?: string;
}

/** The data that a transfer of Table S1 learns, of those that were given. */
function dataOf(given: readonly string[], form: string): string {
  const kind = form.slice(0, form.indexOf(":") + 1);
  const found = given.find((each) => each.startsWith(kind));
  if (found !== undefined) return found;
  throw usage("sweeping --paper S1", `no ${form} in --data`, "kitti:DIR,nyu:DIR,diode-outdoor:DIR");
}

/** What is to be run: Table S1 has a sweep for each transfer. */
function configurationsOf(options: SweepOptions, given: Given): readonly Part[] {
  const { paper, micro, list, data: named, firstData } = options;
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

/** What is to be run. */
function configurationOf(
  options: SweepOptions,
  given: Given,
): Configuration {
  const { paper, adapters, seeds, lrs, micro } = options;
  if (micro && paper === undefined) throw usage("reading --micro", "no --paper", `--paper ${sweepFlags.paper.allowed}`);
  if (paper === undefined && adapters === undefined) {
    throw usage("reading the command line", "nothing to compare", "--adapters SPEC,... or --paper NAME (see --list)");
  }
  const own = passedOn(options, given);
  const base: Configuration = paper === undefined
    ? { title: "", settings: {}, methods: [], seeds: [0, 1, 2], rates: () => [] }
    : ofPaper(paper, options, given);
  const rates = lrs === undefined
    ? undefined
    : readNumbers("--lrs", lrs, (rate) => rate > 0 && rate < Infinity, "numbers above 0");
  const isSeed = (seed: number) => Number.isSafeInteger(seed) && seed >= 0;
  const configuration = {
    settings: withSettings(base.settings, own),
    methods: adapters === undefined ? base.methods : readMethods(adapters),
    seeds: seeds === undefined ? base.seeds : readNumbers("--seeds", seeds, isSeed, "integers, at least 0"),
    rates: rates === undefined ? base.rates : () => rates,
    first: options.firstData ?? base.first,
  };
  const kind = taskKind(options.task);
  const { model = kind.model, data = kind.data } = configuration.settings;
  return { ...configuration, title: base.title || `${options.task}, ${model}, ${data}` };
}

/** The folder of a sweep that was not given one. */
function folderOf({ paper, micro }: SweepOptions, { title }: Configuration): string {
  const name = paper === undefined ? title.replace(/[^\w.+=-]+/g, "-") : micro ? `${paper}-micro` : paper;
  return `runs/sweeps/${name}`;
}

await main(
  { name: "sweep", summary: "Compares methods over seeds and learning rates, each run in its own process.", flags },
  attempt(async ({ options, given }) => {
    const { paper, micro, jobs, json, list } = options;
    if (list && paper === undefined && options.adapters === undefined) return console.log(paperList());
    const parts = configurationsOf(options, given);
    const folder = options.out ?? folderOf(options, parts[0].configuration);
    if (list) {
      for (const { configuration, table, place } of parts) {
        const preset = table === undefined || micro ? undefined : experiments[paperTable(table).experiment].preset;
        const own = place === undefined ? folder : `${folder}/${place}`;
        console.log(await listing(configuration, { preset, folder: own }));
      }
      return;
    }
    using owned = await claimFolder(folder, "sweep");
    if (owned.note !== undefined) note(owned.note);
    const { signal, listen } = interruptible("saving the state of the runs after their steps");
    await listen();
    const isFull = paper !== undefined && !micro;
    const done: Executed[] = [];
    for (const { configuration, table, place } of parts) {
      const own = place === undefined ? folder : `${folder}/${place}`;
      done.push(await execute(configuration, { folder: own, root: folder, jobs, signal, paper: table, isFull }));
      if (signal.aborted) break;
    }
    const [tables, data] = [
      done.map(({ table }) => table).join("\n\n"),
      done.length === 1 && parts.length === 1 ? done[0].data : `[${done.map(({ data }) => data).join(",\n")}]`,
    ];
    if (parts.length > 1) {
      await writeWhole(`${folder}/table.md`, `${tables}\n`);
      await writeWhole(`${folder}/table.json`, `${data}\n`);
    }
    console.log(json ? data : tables);
    const failure = done.find(({ failure }) => failure !== undefined)?.failure;
    if (failure !== undefined) throw failure;
  }),
);

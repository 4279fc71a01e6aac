/**
 * `deno task sweep`: trains one task with several methods, seeds and learning rates, each run in a process of its own,
 * and compares them as the paper's tables do. The same command continues where it was left.
 *
 * @module
 */
import { useBackend } from "../../dsl/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { attempt } from "../cli/attempt.ts";
import { main, span } from "../cli/mod.ts";
import { interruptible } from "../cli/signals.ts";
import { microTasks } from "./align/micro.ts";
import { checkFlags } from "./sweep/check.ts";
import { collect } from "./sweep/collect.ts";
import { note, sweepRuns, type Swept } from "./sweep/execute.ts";
import { type Executed, showSweep, type View } from "./sweep/show.ts";
import { drawFigure9 } from "./sweep/figure9.ts";
import { listing, sweepCost } from "./sweep/listing.ts";
import { flags } from "./sweep/options.ts";
import { type Configuration, experiments, paperList } from "./sweep/paper.ts";
import { namesFigure9 } from "./sweep/paper_all.ts";
import { paperTable } from "./sweep/paper_tables.ts";
import { type Part, partOf } from "./sweep/part.ts";
import { expectedOf, figureFlags, folderOf, type Piece, piecesOf } from "./sweep/pieces.ts";
import { type CellResult, earlierResult } from "./sweep/run.ts";
import { openSlots } from "./sweep/slots.ts";

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
    "command continues it";
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
    checkFlags(options, given);
    if (list && paper === undefined && options.adapters === undefined) return console.log(paperList());
    const parts = piecesOf(options, given);
    const folder = options.out ?? folderOf(options, parts[0]?.configuration.title ?? "");
    if (list) {
      for (const { configuration, table, place } of parts) {
        const published = table === undefined || micro ? undefined : experiments[paperTable(table).experiment];
        const own = place === undefined ? folder : `${folder}/${place}`;
        console.log(await listing(configuration, { published, folder: own, jobs }));
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
      note(`${settings.validation} training examples are held out for the search of rates; --validation sets how many`);
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

/**
 * A whole run of any task: open, adapt, train, evaluate, save.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { firstBefore, ranksInUse } from "../../dsl/ranks.ts";
import { openModel } from "../../models/mod.ts";
import { holdThreads } from "../data/threads.ts";
import type { DataFacts } from "../data/record.ts";
import { softwareVersions } from "../report/versions.ts";
import type { Identity } from "./checkpoint.ts";
import { drawingTask } from "./draws.ts";
import { holdingOf } from "./holding.ts";
import { whileReading } from "./needs.ts";
import type { Settings } from "./setting.ts";
import { runSettings } from "./settings.ts";
import { requireRoomToTrain } from "./room_to_train.ts";
import { isBatchInvariant, isInHalves, partsOf } from "./shares.ts";
import type { TrainedModel } from "./prediction.ts";
import { rowsTask } from "./on_device.ts";
import { adapterDigest } from "./start.ts";
import type { RunResult, RunSurroundings, TaskKind } from "./task.ts";
import { type Judge, runPrepared, totalSteps } from "./prepared_run.ts";
import type { Run } from "./run_settings.ts";

/** Refuses settings that do not go together. */
function requireUsable(
  kind: TaskKind,
  { validation, testing = true, limit = Infinity, keep, timeLimit, quantise }: Run,
  out: string | undefined,
): void {
  const misuse = (attempted: string, found: string, allowed: string) =>
    new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
  if (validation !== undefined && validation > limit) {
    throw misuse("setting `validation`", `${validation} with a \`limit\` of ${limit}`, `at most ${limit}`);
  }
  if (!testing && validation === undefined) {
    throw misuse("setting `testing: false`", "no `validation`", "examples held out, which are evaluated instead");
  }
  if ((keep === "best" || timeLimit) && out === undefined && ranksInUse().rank === 0) {
    throw new OneloraError({ attempted: "keeping the best parameters", found: "no run folder", allowed: "one: `out`" });
  }
  if (quantise !== undefined && kind.compact === undefined) {
    throw misuse(`--quantise ${quantise}`, `the task ${kind.name}`, "tasks of language models");
  }
}

/**
 * Trains and evaluates; with an `out` folder, writes metrics, checkpoints and pictures there.
 *
 * @param kind The task
 * @param run Everything that decides the result
 * @param surroundings Where it writes and reports
 * @throws OneloraError for data, models and settings that cannot be used, and runs that diverge
 */
export async function runTask<Own extends object>(
  kind: TaskKind<Own>,
  run: Run<Own>,
  surroundings: RunSurroundings,
): Promise<RunResult> {
  requireUsable(kind as TaskKind, run, surroundings.out);
  const { validation, testing = true } = run;
  const ranks = ranksInUse();
  // Evaluations come back again and again.
  using _threads = holdThreads();
  const model = surroundings.model ?? await openModel(run.model);
  const data = surroundings.data ?? await firstBefore(() => kind.openData(run.data, run));
  const parts = { ...run, accumulate: partsOf(run, ranks.size) };
  const idle = ranks.size - Math.min(parts.accumulate, run.batchSize);
  if (idle > 0) {
    const what = `batches of ${run.batchSize}${isBatchInvariant(run) ? ` in ${parts.accumulate} parts` : ""}`;
    surroundings.reporter.line(`note: ${idle} of ${ranks.size} processes have no share of ${what}`);
  }
  const held = validation === undefined ? undefined : kind.holdOut(data, validation);
  const opened = await kind.open(parts, { model, data: held?.training ?? data }, surroundings.reporter);
  const prepared = drawingTask(rowsTask(opened), opened.layer, run.seed);
  const judge: Judge | undefined = held && {
    examples: validation!,
    // Read once, when everything is decided.
    test: testing
      ? async (trained: TrainedModel) =>
        (await kind.evaluate(trained, held.testing, run, surroundings.reporter)).metrics
      : undefined,
  };
  try {
    await requireRoomToTrain(
      kind as TaskKind,
      prepared,
      parts,
      {
        rows: run.evalBatch ?? kind.evaluationRows(prepared.model),
        needs: async (evalBatch) => {
          const judging = await prepared.evaluations(evalBatch);
          const last = held === undefined || !testing
            ? () => 0
            : await kind.evaluationNeeds(prepared.model, held.testing, { ...run, evalBatch });
          return (layer, kept) => whileReading(kept.backend, Math.max(judging(layer, kept), last(layer, kept)));
        },
      },
      isInHalves(run, ranks.size),
      totalSteps(run, prepared.examples),
    );
    return await runPrepared(prepared, run, ranks, { ...surroundings, judge }, holdingOf(kind, run), {
      ...identityOf(kind, run, kind.dataFacts(data)),
      ...run.from === undefined ? {} : { fromSha256: await adapterDigest(run.from) },
      ...surroundings.facts,
    });
  } finally {
    await prepared.close?.();
  }
}

/** What decides a run's steps: the settings, what it knows of its data, and the versions. */
function identityOf<Own extends object>(kind: TaskKind<Own>, run: Run<Own>, facts: DataFacts): Identity {
  const { own, ...settings } = run;
  const declared: Settings = { ...runSettings, ...kind.settings as Settings };
  const deciding = Object.entries({ ...settings, ...own }).filter(([each, value]) =>
    value !== undefined && declared[each]?.aside !== true
  );
  const { onelora, tfjs } = softwareVersions();
  return { task: kind.name, ...Object.fromEntries(deciding), ...facts, onelora, tfjs };
}

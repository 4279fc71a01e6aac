/**
 * A whole run of any task: open, adapt, train, evaluate, save.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { parameterCounts } from "../../adapters/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { isTrainable, specs } from "../../dsl/layer.ts";
import { averageIn, parseSchedule } from "../../dsl/optimise/mod.ts";
import { key } from "../../dsl/random.ts";
import { firstAlone, firstBefore, fromFirst, type Ranks, ranksInUse } from "../../dsl/ranks.ts";
import { mapTree, partition, type Tree } from "../../dsl/tree.ts";
import type { Holding } from "../../models/checkpoint/forms.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { holdThreads } from "../data/threads.ts";
import { openEvents } from "../report/events.ts";
import type { DataFacts } from "../data/record.ts";
import { softwareVersions } from "../report/versions.ts";
import { BEST, type Identity, loadCheckpoint } from "./checkpoint.ts";
import { originsOf } from "./decay.ts";
import { drawingTask } from "./draws.ts";
import { holdingOf } from "./holding.ts";
import { lrFactorsOf } from "./lr_factor.ts";
import { NO_METHOD } from "./method.ts";
import { whileReading } from "./needs.ts";
import type { Reporter } from "./observe.ts";
import { optimiserOf } from "./optimiser.ts";
import type { Settings } from "./setting.ts";
import { runSettings } from "./settings.ts";
import { inPrecision } from "./precision.ts";
import { requireRoomToTrain } from "./room_to_train.ts";
import { movingOfFirst } from "./shared.ts";
import { isBatchInvariant, isInHalves, partsOf } from "./shares.ts";
import type { TrainedModel } from "./prediction.ts";
import { rowsTask } from "./on_device.ts";
import { free, stepHalves, trainStep } from "./step.ts";
import { adapterDigest, startFrom } from "./start.ts";
import type { ParametersOf, PreparedTask, RunResult, RunSurroundings, TaskKind } from "./task.ts";
import type { Run } from "./run_settings.ts";
import { train } from "./train.ts";
import type { TrainResult } from "./training.ts";
import { sayingHowLong } from "./waiting.ts";

/** Steps in all: as given, or epochs times the batches of an epoch. */
function totalSteps({ adapter, steps, epochs = 1, batchSize, limit = Infinity }: Run, examples: number): number {
  if (adapter === NO_METHOD) return 0;
  return steps ?? Math.max(1, Math.round(epochs * Math.ceil(Math.min(examples, limit) / batchSize)));
}

/** What counts of a state: the average of the trained parameters, if there is one, else they themselves. */
function resultOf({ ema: decay = 0 }: Run): ParametersOf {
  return ({ frozen, trained, optimiser }) => ({ ...frozen, ...decay > 0 ? averageIn(optimiser) : trained });
}

/** A trained state, or that of the best evaluation where it is wanted and was an earlier one. */
async function chosen(
  { keep }: Run,
  out: string | undefined,
  identity: Identity,
  result: TrainResult,
  line: Reporter["line"],
  ranks: Ranks,
): Promise<TrainResult> {
  const { best, state, outOfTime } = result;
  if ((keep !== "best" && !outOfTime) || best === undefined) return result;
  // The first process has the folder, if there is one.
  if (!await fromFirst(ranks, () => Promise.resolve(out !== undefined))) return result;
  if (outOfTime) line(`the result is what was best until then: that of step ${best.step}`);
  if (best.step === result.steps) return result;
  let [kept, metrics] = [state, result.metrics];
  if (out !== undefined) {
    const { progress, ...moving } = await loadCheckpoint(`${out}/${BEST}`, state, identity);
    free(state.trained, state.optimiser);
    [kept, metrics] = [{ ...state, ...moving }, progress.metrics ?? metrics];
  }
  if (ranks.size > 1) kept = await movingOfFirst(ranks, kept);
  return { ...result, state: kept, metrics: await fromFirst(ranks, () => Promise.resolve(metrics)) };
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
  const { validation, testing = true, limit = Infinity } = run;
  const misuse = (attempted: string, found: string, allowed: string) =>
    new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
  if (validation !== undefined && validation > limit) {
    throw misuse("setting `validation`", `${validation} with a \`limit\` of ${limit}`, `at most ${limit}`);
  }
  if (!testing && validation === undefined) {
    throw misuse("setting `testing: false`", "no `validation`", "examples held out, which are evaluated instead");
  }
  const ranks = ranksInUse();
  if ((run.keep === "best" || run.timeLimit) && surroundings.out === undefined && ranks.rank === 0) {
    throw new OneloraError({ attempted: "keeping the best parameters", found: "no run folder", allowed: "one: `out`" });
  }
  if (run.quantise !== undefined && kind.compact === undefined) {
    const allowed = "tasks of language models";
    throw new OneloraError({ attempted: `--quantise ${run.quantise}`, found: `the task ${kind.name}`, allowed }, {
      exitCode: 2,
    });
  }
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
  const judge = held && {
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

/** What judges a run that holds examples out. */
interface Judge {
  /** How many are held out. */
  readonly examples: number;
  /** Metrics of the test data; undefined where they are left alone. */
  readonly test?: (trained: TrainedModel) => Promise<Tree<number>>;
}

async function runPrepared(
  prepared: PreparedTask,
  run: Run,
  ranks: Ranks,
  surroundings: RunSurroundings & { readonly judge?: Judge },
  holding: Holding,
  identity: Identity,
): Promise<RunResult> {
  const { model, training } = prepared;
  const { reporter, out } = surroundings;
  const layer = prepared.layer;
  if (run.adapter !== NO_METHOD && !Object.keys(specs(layer)).some(isTrainable(layer))) {
    throw new OneloraError({
      attempted: `training ${run.model} with ${run.adapter}`,
      found: "nothing that it trains there",
      allowed: `a method that trains some of the model, or ${NO_METHOD}, which only evaluates`,
    }, { exitCode: 2 });
  }
  const factors = lrFactorsOf(layer, run.adapter === NO_METHOD ? undefined : run.lrFactor);
  const source = run.scratch ? { ...model, folder: undefined } : model;
  const steps = totalSteps(run, prepared.examples);
  const warmup = run.warmup < 1 ? Math.round(run.warmup * steps) : run.warmup;
  const factor = parseSchedule(run.schedule)({ steps, warmup });
  const parametersOf = resultOf(run);
  const { params: published, part, unused } = await loadParams(source, key(run.seed), layer, holding);
  const started = run.from === undefined ? published : await startFrom(run.from, model, layer, published, holding);
  const params = await inPrecision(layer, started, run.precision);
  const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
  // Copies: the trainer frees what it is given when the engine has taken it over.
  const origins = mapTree((tensor: Tensor) => tensor.clone())(run.weightDecay === 0 ? {} : originsOf(layer, params));
  const optimiser = optimiserOf(run, origins, factors.factorOf);
  const isInvariant = isBatchInvariant(run);
  const split = { batchSize: run.batchSize, accumulate: partsOf(run, ranks.size) };
  try {
    await surroundings.ready?.();
    if (source.folder === undefined) {
      reporter.line(`note: ${run.model} has no weights here and starts from random ones`);
    }
    if (part !== undefined) reporter.line(`note: "${part}" is what was taken of ${run.model}`);
    if (unused !== undefined) reporter.line(`note: of ${run.model} ${unused}`);
    for (const note of [...model.notes, ...factors.notes]) reporter.line(`note: ${note}`);
    const last = await train(
      training,
      trainStep(prepared.objective, optimiser, prepared.whole?.measure, split),
      { frozen, trained, optimiser: optimiser.init(trained) },
      {
        ...surroundings,
        steps,
        schedule: (step) => run.lr * factor(step),
        momentum: prepared.momentum?.({ steps, warmup }),
        inParts: (run.accumulate ?? 1) > 1,
        join: prepared.whole?.join,
        shared: {
          ranks,
          halves: stepHalves(prepared.objective, optimiser, prepared.whole?.measure, split),
          isInvariant,
        },
        precision: run.precision,
        evalEvery: run.evalEvery,
        checkpointEvery: run.checkpointEvery,
        patience: run.patience,
        timeLimit: run.timeLimit,
        parametersOf,
        identity,
        observers: surroundings.observers,
      },
    );
    const { state, ...numbers } = await chosen(run, out, identity, last, reporter.line, ranks);
    const { judge } = surroundings;
    let tested: Tree<number> | undefined;
    try {
      const result = parametersOf(state);
      const test = judge?.test;
      const final = { model, layer, params: result };
      if (test !== undefined) tested = await sayingHowLong(reporter.line, "evaluating", () => test(final));
      await surroundings.save?.({ model, layer, params: result });
      await firstAlone(async () => {
        if (out === undefined || prepared.show === undefined) return;
        const folder = `${out}/pictures`;
        await Deno.mkdir(folder, { recursive: true });
        await sayingHowLong(reporter.line, "making examples", () => prepared.show!(result, folder));
        using events = openEvents(out, numbers.steps);
        const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).filter((name) => name.endsWith(".png"));
        for (const name of names.sort()) {
          events.image(numbers.steps, name.slice(0, -4), await Deno.readFile(`${folder}/${name}`));
        }
      }, ranks);
    } finally {
      free(state.frozen, state.trained, state.optimiser);
    }
    const facts = { parameters: parameterCounts(layer, model.headPath), deciding: training.deciding };
    if (judge === undefined) return { ...numbers, ...facts };
    const validation = { examples: judge.examples, metrics: numbers.metrics };
    return { ...numbers, ...facts, validation, ...tested === undefined ? { untested: true } : { metrics: tested } };
  } finally {
    // Whatever the trainer has disposed already stays so.
    free(params, origins);
  }
}

/**
 * A run whose task is prepared: its parameters, its steps, and what is made of what came of them.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { parameterCounts } from "../../adapters/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { isTrainable, specs } from "../../dsl/layer.ts";
import { averageIn, parseSchedule } from "../../dsl/optimise/mod.ts";
import { key } from "../../dsl/random.ts";
import { firstAlone, fromFirst, type Ranks } from "../../dsl/ranks.ts";
import { mapTree, type Params, partition, type Tree } from "../../dsl/tree.ts";
import type { Holding } from "../../models/checkpoint/forms.ts";
import { loadParams } from "../../models/mod.ts";
import { openEvents } from "../report/events.ts";
import { BEST, type Identity, loadCheckpoint } from "./checkpoint.ts";
import { originsOf } from "./decay.ts";
import { lrFactorsOf } from "./lr_factor.ts";
import { NO_METHOD } from "./method.ts";
import type { Reporter } from "./observe.ts";
import { optimiserOf } from "./optimiser.ts";
import { inPrecision } from "./precision.ts";
import type { TrainedModel } from "./prediction.ts";
import type { Run } from "./run_settings.ts";
import { stepsOf } from "./setting.ts";
import { movingOfFirst } from "./shared.ts";
import { isBatchInvariant, partsOf } from "./shares.ts";
import { startFrom } from "./start.ts";
import { free, stepHalves, trainStep } from "./step.ts";
import type { ParametersOf, PreparedTask, RunResult, RunSurroundings } from "./task.ts";
import { train } from "./train.ts";
import type { TrainResult, TrainSettings } from "./training.ts";
import { sayingHowLong } from "./waiting.ts";

/**
 * Steps in all: as given, or epochs times the batches of an epoch.
 *
 * @param run The run
 * @param examples How many there are to learn from
 */
export function totalSteps({ adapter, steps, epochs = 1, batchSize, limit = Infinity }: Run, examples: number): number {
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

/** What judges a run that holds examples out. */
export interface Judge {
  /** How many are held out. */
  readonly examples: number;
  /** Metrics of the test data; undefined where they are left alone. */
  readonly test?: (trained: TrainedModel) => Promise<Tree<number>>;
}

/** Parameters as a run begins with them. */
interface Beginning extends Disposable {
  readonly params: Params;
  /** What weight decay draws parameters towards; copies, as the trainer frees what it is given when the engine has taken it over. */
  readonly origins: Params;
  /** What people are told of them. */
  readonly notes: readonly string[];
}

async function beginningOf({ model, layer }: PreparedTask, run: Run, holding: Holding): Promise<Beginning> {
  const source = run.scratch ? { ...model, folder: undefined } : model;
  const { params: published, part, unused } = await loadParams(source, key(run.seed), layer, holding);
  const started = run.from === undefined ? published : await startFrom(run.from, model, layer, published, holding);
  const params = await inPrecision(layer, started, run.precision);
  const origins = mapTree((tensor: Tensor) => tensor.clone())(run.weightDecay === 0 ? {} : originsOf(layer, params));
  const notes = [
    ...source.folder === undefined ? [`${run.model} has no weights here and starts from random ones`] : [],
    ...part === undefined ? [] : [`"${part}" is what was taken of ${run.model}`],
    ...unused === undefined ? [] : [`of ${run.model} ${unused}`],
    ...model.notes,
  ];
  // Whatever the trainer has disposed already stays so.
  return { params, origins, notes, [Symbol.dispose]: () => free(params, origins) };
}

/** What the run asks of its steps. */
function stepSettings(
  { momentum, whole, examples }: PreparedTask,
  run: Run,
): Omit<TrainSettings, "reporter"> {
  const { precision, checkpointEvery, patience, timeLimit, accumulate = 1 } = run;
  const steps = totalSteps(run, examples);
  const warmup = run.warmup < 1 ? Math.round(run.warmup * steps) : run.warmup;
  const factor = parseSchedule(run.schedule)({ steps, warmup });
  return {
    steps,
    schedule: (step) => run.lr * factor(step),
    momentum: momentum?.({ steps, warmup }),
    inParts: accumulate > 1,
    join: whole?.join,
    precision,
    evalEvery: stepsOf(run.evalEvery, steps),
    checkpointEvery,
    patience,
    timeLimit,
    parametersOf: resultOf(run),
  };
}

/** What a run has come to. */
interface Ended {
  readonly params: Params;
  readonly steps: number;
  /** Whether these parameters are those that were evaluated last. */
  readonly isEvaluated: boolean;
}

/** Makes a trained task's examples, in the run's folder, and brings its pictures to TensorBoard. */
async function showExamples(
  show: NonNullable<PreparedTask["show"]>,
  { params, steps, isEvaluated }: Ended,
  out: string,
  line: Reporter["line"],
): Promise<void> {
  const folder = `${out}/pictures`;
  await Deno.mkdir(folder, { recursive: true });
  await sayingHowLong(line, "making examples", () => show(params, folder, isEvaluated));
  using events = openEvents(out, steps);
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).filter((name) => name.endsWith(".png"));
  for (const name of names.sort()) {
    events.image(steps, name.slice(0, -4), await Deno.readFile(`${folder}/${name}`));
  }
}

/** Judges, saves and shows a trained model. */
async function finish(
  { model, layer, show }: PreparedTask,
  ended: Ended,
  { judge, save, out, reporter: { line } }: RunSurroundings & { readonly judge?: Judge },
  ranks: Ranks,
): Promise<Tree<number> | undefined> {
  const trained = { model, layer, params: ended.params };
  const test = judge?.test;
  const tested = test === undefined ? undefined : await sayingHowLong(line, "evaluating", () => test(trained));
  await save?.(trained);
  // All come here, and the first one, which has the folder, makes them.
  await firstAlone(async () => {
    if (out !== undefined && show !== undefined) await showExamples(show, ended, out, line);
  }, ranks);
  return tested;
}

/**
 * Takes a run from its parameters to its result.
 *
 * @param prepared The task, prepared
 * @param run Everything that decides the result
 * @param ranks Processes that run it together
 * @param surroundings Where it writes and reports, and what judges it
 * @param holding How the engine holds frozen weights
 * @param identity What decides its steps
 * @throws OneloraError if nothing would be trained, or the run diverges
 */
export async function runPrepared(
  prepared: PreparedTask,
  run: Run,
  ranks: Ranks,
  surroundings: RunSurroundings & { readonly judge?: Judge },
  holding: Holding,
  identity: Identity,
): Promise<RunResult> {
  const { model, layer, training, objective, whole } = prepared;
  const { reporter, out, judge } = surroundings;
  if (run.adapter !== NO_METHOD && !Object.keys(specs(layer)).some(isTrainable(layer))) {
    throw new OneloraError({
      attempted: `training ${run.model} with ${run.adapter}`,
      found: "nothing that it trains there",
      allowed: `a method that trains some of the model, or ${NO_METHOD}, which only evaluates`,
    }, { exitCode: 2 });
  }
  const factors = lrFactorsOf(layer, run.adapter === NO_METHOD ? undefined : run.lrFactor);
  using beginning = await beginningOf(prepared, run, holding);
  const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(beginning.params);
  const optimiser = optimiserOf(run, beginning.origins, factors.factorOf);
  const split = { batchSize: run.batchSize, accumulate: partsOf(run, ranks.size) };
  await surroundings.ready?.();
  for (const note of [...beginning.notes, ...factors.notes]) reporter.line(`note: ${note}`);
  const settings = stepSettings(prepared, run);
  const last = await train(
    training,
    trainStep(objective, optimiser, whole?.measure, split),
    { frozen, trained, optimiser: optimiser.init(trained) },
    {
      ...surroundings,
      ...settings,
      shared: {
        ranks,
        halves: stepHalves(objective, optimiser, whole?.measure, split),
        isInvariant: isBatchInvariant(run),
      },
      identity,
    },
  );
  const result = await chosen(run, out, identity, last, reporter.line, ranks);
  const { state, ...numbers } = result;
  try {
    const ended = { params: resultOf(run)(state), steps: numbers.steps, isEvaluated: result === last };
    const tested = await finish(prepared, ended, surroundings, ranks);
    const facts = { parameters: parameterCounts(layer, model.headPath), deciding: training.deciding };
    if (judge === undefined) return { ...numbers, ...facts };
    const validation = { examples: judge.examples, metrics: numbers.metrics };
    return { ...numbers, ...facts, validation, ...tested === undefined ? { untested: true } : { metrics: tested } };
  } finally {
    free(state.frozen, state.trained, state.optimiser);
  }
}

/**
 * Whether a run's steps and evaluations fit into the memory there is, found out before any weight is read.
 *
 * @module
 */
import type { BackendName } from "../../dsl/engine/interface.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { isTrainable, type Layer, specs } from "../../dsl/layer.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { NO_METHOD } from "./method.ts";
import { holdingOf } from "./holding.ts";
import { type Evaluations, fewerAtATime, type Kept, type Needs, whileReading } from "./needs.ts";
import { optimiserOf, type OptimiserSettings } from "./optimiser.ts";
import { partRows } from "./parts.ts";
import { planLoading, planSteps } from "./plan.ts";
import {
  gigabytes,
  hasBlocks,
  isWorthAPlan,
  keepers,
  requireRoom,
  requireRoomToUse,
  roomier,
  roomThere,
  roomUnder,
  type Smaller,
} from "./room.ts";
import type { PreparedTask, TaskKind } from "./task.ts";
import type { Run } from "./run_settings.ts";

/** What of a run decides its memory. */
type Sized =
  & Pick<Run, "precision" | "quantise" | "batchSize" | "accumulate" | "gradientCheckpointing">
  & OptimiserSettings;

/** Changes of a run's steps that make them smaller: each alone, then one upon the other. */
function* smaller(run: Sized, canQuantise: boolean): Generator<readonly [change: string, Sized]> {
  const { precisions } = engineInUse();
  const changes: (readonly [string, Partial<Sized>])[] = [];
  const half = precisions.find((each) => each !== "float32");
  if (half !== undefined && run.precision !== half) changes.push([`--precision ${half}`, { precision: half }]);
  if (!run.gradientCheckpointing) changes.push(["--gradient-checkpointing", { gradientCheckpointing: true }]);
  if ((run.accumulate ?? 1) < run.batchSize) {
    changes.push([`--accumulate ${run.batchSize}`, { accumulate: run.batchSize }]);
  }
  if (canQuantise) {
    changes.push(["--quantise nf4", { quantise: "nf4" }]);
  }
  for (const [change, part] of changes) yield [change, { ...run, ...part }];
  let [words, all] = ["", run];
  for (const [change, part] of changes) {
    [words, all] = [`${words} ${change}`.trim(), { ...all, ...part }];
    yield [words, all];
  }
}

/**
 * Gradients that a step in halves has in memory beside what a step takes: the engine's, the program's, and sums of shares on the way.
 * Full fine-tuning of ViT-B, 10 images in 4 shares, took 3.2 of them more than the plan of a step.
 */
const GRADIENTS = 4;

/** Copies of each trained parameter in a step with AdamW: itself, its gradient and two moments. */
const COPIES = 4;

/** Bytes of a gradient. */
function gradientBytes(layer: Layer): number {
  const isTrained = isTrainable(layer);
  const trained = Object.entries(specs(layer)).filter(([path]) => isTrained(path));
  return trained.reduce((sum, [, { shape }]) => sum + 4 * sizeOf(shape), 0);
}

/** What a run takes by plan. */
interface RunNeeds {
  /** Loading and steps. */
  readonly steps: number;
  /** All of it, with evaluations. */
  readonly whole: (judging: Needs) => number;
}

/**
 * Refuses a run whose steps or evaluations do not fit into memory.
 *
 * @param kind The task
 * @param prepared The task, opened
 * @param asked The run
 * @param evaluations Its evaluations
 * @param isInHalves Whether its steps are taken in halves, between which gradients are added up (default false)
 * @param steps How many it takes (default: many)
 * @throws OneloraError saying what is needed, what there is, and what would fit
 */
export async function requireRoomToTrain(
  kind: TaskKind,
  { model, layer, examples, longest = 0, picture, held: data = 0 }: PreparedTask,
  asked: Run,
  evaluations: Evaluations,
  isInHalves: boolean = false,
  steps: number = Infinity,
): Promise<void> {
  const room = roomThere();
  // No step has more examples than there are.
  const run = { ...asked, batchSize: Math.min(asked.batchSize, examples, asked.limit ?? Infinity) };
  if (room === undefined || !isWorthAPlan(layer, room, partRows(run))) return;
  const first = await evaluations.needs(evaluations.rows);
  const fewer = () => fewerAtATime(evaluations);
  if (run.adapter === NO_METHOD) {
    // It takes no steps.
    const attempted = `evaluating ${run.model}`;
    return await requireRoomToUse(model, () => layer, holdingOf(kind, run), { attempted, needs: () => first, fewer });
  }
  const { name, forms: known } = engineInUse();
  const other = roomier(room);
  const forms = await keepers(model, layer, {}, [name, other]);
  const isCompact = hasBlocks(forms({}, name));
  const held = await kind.holds?.(model) ?? 0;
  const needs = (sized: Sized, backend: BackendName): RunNeeds => {
    const kept: Kept = { backend, precision: sized.precision, forms: forms(holdingOf(kind, sized), backend) };
    const { gradientCheckpointing } = sized;
    const size = { batch: partRows(sized), length: longest, picture };
    const optimiser = optimiserOf(sized);
    const settings = { ...kept, gradientCheckpointing, optimiser, steps };
    const { plan, ran } = planSteps(kind, model, layer, { ...size, ...settings });
    const between = isInHalves ? GRADIENTS * gradientBytes(layer) : 0;
    const alone = data + Math.max(planLoading(layer, kept), whileReading(backend, plan.processBytes + between + held));
    return { steps: alone, whole: (judging) => Math.max(alone, data + judging(layer, { ...kept, after: ran })) };
  };
  const found = needs(run, name);
  const attempted = `training ${run.model} with ${run.adapter}`;
  const bytes = found.whole(first);
  if (bytes <= room.bytes) return;
  const smallerEvaluations = await fewer();
  /** A change, and with it what its evaluations need to fit too. */
  const withFewer = function* (change: string, { steps, whole }: RunNeeds): Generator<Smaller> {
    if (steps > room.bytes) return;
    if (change !== "") yield [change, whole(first)];
    for (const [words, judging] of smallerEvaluations) yield [`${change} ${words}`.trim(), whole(judging)];
  };
  const others = function* (): Generator<Smaller> {
    const canQuantise = kind.compact === true && run.quantise === undefined && !isCompact && known?.has("nf4") === true;
    yield* withFewer("", found);
    for (const [change, sized] of smaller(run, canQuantise)) yield* withFewer(change, needs(sized, name));
    if (other !== undefined) {
      yield [`--backend ${other}`, needs(run, other).whole(first), roomUnder(other, Infinity)];
    }
  };
  const trained = COPIES * gradientBytes(layer);
  const lessTrained = `an adapter that trains less: what this one does takes ${gigabytes(trained)} of it`;
  requireRoom(attempted, bytes, room, others(), trained > bytes / 2 ? lessTrained : undefined);
}

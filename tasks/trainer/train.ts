/**
 * The training loop that every task shares.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { planStep, startResident, type ValueType } from "../../dsl/compile/mod.ts";
import { type StoredForm, storedForm } from "../../dsl/engine/stored.ts";
import { alone, heeding } from "../../dsl/ranks.ts";
import { mapTree, type Params, type Path } from "../../dsl/tree.ts";
import { endedBy } from "../../dsl/turn.ts";
import { aloneStepper } from "./advance.ts";
import { hasCheckpoint, LAST, loadCheckpoint } from "./checkpoint.ts";
import { course } from "./course.ts";
import { atStart, type Progress } from "./progress.ts";
import { sharedState, sharedStepper } from "./shared.ts";
import { type BatchTensors, free, type TrainState, type TrainStep } from "./step.ts";
import type { TrainingTask, TrainResult, TrainSettings } from "./training.ts";

/** The run's state at its start, or that of the folder's last checkpoint. */
async function begin(
  initial: TrainState,
  { out, resume, reporter, steps, identity }: TrainSettings,
): Promise<readonly [TrainState, Progress]> {
  if (out === undefined || !resume) return [initial, atStart];
  if (!await hasCheckpoint(`${out}/${LAST}`)) {
    reporter.line(`note: no checkpoint in ${out}: it starts again`);
    return [initial, atStart];
  }
  const { progress, ...moving } = await loadCheckpoint(`${out}/${LAST}`, initial, identity);
  free(initial.trained, initial.optimiser);
  reporter.line(`resumed at step ${progress.step} of ${steps}`);
  return [{ ...initial, ...moving }, progress];
}

/** The same for all processes: the first has the folder. */
async function beginning(initial: TrainState, settings: TrainSettings): Promise<readonly [TrainState, Progress]> {
  const begun = await begin(initial, settings);
  const ranks = settings.shared?.ranks ?? alone;
  return ranks.size === 1 ? begun : await sharedState(ranks, ...begun);
}

/** What parameters are kept as, those that are. */
function formsIn(params: Params): ReadonlyMap<Path, StoredForm> {
  return new Map(
    Object.entries(params).flatMap(([path, tensor]) => {
      const form = storedForm(tensor);
      return form === undefined ? [] : [[path, form] as const];
    }),
  );
}

/** Shows the first batch to whom the plan of a step is for. */
function planner(step: TrainStep, state: TrainState, { planned, precision }: TrainSettings) {
  const typed = mapTree(({ shape, dtype }: tf.Tensor): ValueType => ({ shape, dtype }));
  const types = { frozen: typed(state.frozen), trained: typed(state.trained), optimiser: typed(state.optimiser) };
  let due = planned;
  return (batch: BatchTensors) => {
    // What one of several processes computes has no rate in it, which its update takes.
    const whole = { rate: { shape: [], dtype: "float32" } as const, ...typed(batch) };
    due?.(planStep(step, { ...types, batch: whole }, { precision, forms: formsIn(state.frozen) }));
    due = undefined;
  };
}

/**
 * Trains: `steps` times a batch through `step`, with evaluations, a line per step in `metrics.jsonl`, and checkpoints
 * from which a killed run continues bit by bit. A checkpoint on the way is written one step late, when that step has
 * shown the loss of its parameters to be finite, so a run that diverges leaves one from before. The last one is written
 * before the last evaluation, and again with what that found.
 *
 * @param task Batches and evaluation
 * @param step The pure step
 * @param initial Parameters and optimiser state at step 0, the trainer's to dispose
 * @param settings See {@linkcode TrainSettings}
 * @throws OneloraError if the loss is not finite, or if interrupted
 */
export async function train(
  task: TrainingTask,
  step: TrainStep,
  initial: TrainState,
  settings: TrainSettings,
): Promise<TrainResult> {
  const [state, progress] = await beginning(initial, settings).catch((error) => {
    free(initial.frozen, initial.trained, initial.optimiser);
    throw error;
  });
  const { precision, reporter: { line }, inParts, join } = settings;
  const { ranks, isInvariant } = settings.shared ?? { ranks: alone };
  const shared = ranks.size > 1 || isInvariant ? settings.shared : undefined;
  const isOfSeveral = ranks.size > 1;
  const seen = planner(step, state, settings);
  // Only the first kind of batch is compiled whole, and which that is depends on who computes what.
  const running = isInvariant ? { ...settings.running, graph: "clusters" as const } : settings.running;
  const options = { ...running, precision, steps: settings.steps, onFallback: line, onCompile: line };
  using stepper = shared === undefined
    ? aloneStepper({ resident: startResident(step, state, options), inParts, join })
    : sharedStepper(state, { ...shared, join, options });
  // Several processes are interrupted where all of them know.
  using _heeding = heeding(isOfSeveral ? settings.signal : undefined);
  return await endedBy(
    isOfSeveral ? undefined : settings.signal,
    () => course(task, stepper, progress, seen, settings),
  );
}

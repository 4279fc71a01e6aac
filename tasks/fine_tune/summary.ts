/**
 * A run's `summary.json`: what came of it, and what it took.
 *
 * @module
 */
import type { StepPlan } from "../../dsl/compile/mod.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { ranksInUse } from "../../dsl/ranks.ts";
import { softwareVersions } from "../report/versions.ts";
import type { Run } from "../trainer/run_settings.ts";
import type { RunResult, TaskKind } from "../trainer/task.ts";
import type { RunMemory } from "./memory.ts";

/** What was measured beside a run. */
export interface Measured {
  /** What its training step was planned to take. */
  readonly plan?: StepPlan;
  /** What else the machine did meanwhile. */
  readonly otherLoad?: number;
  /** What it took. */
  readonly memory: RunMemory;
}

/**
 * The content of `summary.json`.
 *
 * @param kind Its task
 * @param run Its settings
 * @param backend The engine's name
 * @param result What came of it
 * @param measured See {@linkcode Measured}
 */
export function summaryOf(
  kind: TaskKind,
  run: Run,
  backend: string,
  result: RunResult,
  { plan, otherLoad, memory }: Measured,
): object {
  return {
    task: kind.name,
    model: run.model,
    adapter: run.adapter,
    backend,
    threads: engineInUse().device.threads,
    processes: ranksInUse().size === 1 ? undefined : ranksInUse().size,
    precision: run.precision,
    seed: run.seed,
    parameters: result.parameters,
    steps: result.steps,
    seconds: result.seconds,
    bestSeconds: result.bestSeconds,
    stepSeconds: result.stepSeconds,
    memory,
    otherLoad,
    peakRssBytes: memory.peakBytes,
    plannedPeakBytes: plan?.peakBytes,
    deciding: result.deciding,
    best: result.best,
    metrics: result.metrics,
    validation: result.validation,
    untested: result.untested,
    versions: softwareVersions(),
  };
}

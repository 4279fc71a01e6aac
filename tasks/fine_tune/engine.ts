/**
 * The engine that a run is computed by, and in which precision.
 *
 * @module
 */
import { engineInUse, isEngineChosen, useBackend } from "../../dsl/engine/mod.ts";
import type { Reporter } from "../trainer/observe.ts";
import type { Run } from "../trainer/run_settings.ts";
import type { Asked } from "./asked.ts";

/**
 * The engine: the one asked for, the one in use, or the first that works.
 *
 * @param asked What is asked for
 * @param line Told what was tried
 * @returns Its name
 */
export async function engineFor({ backend, threads }: Asked, line: Reporter["line"]): Promise<string> {
  if (backend === undefined && threads === undefined && isEngineChosen()) return engineInUse().name;
  const report = await useBackend(backend ?? (isEngineChosen() ? engineInUse().name : "auto"), { threads });
  for (const { name, works, why } of report.tried) {
    if (name === report.chosen) line(`backend ${name}: ${why}`);
    else if (works) line(`not ${name}: ${why}`);
  }
  if (report.advice !== "") line(report.advice);
  return report.chosen;
}

/**
 * A run in a precision that the engine in use has: a recipe's is a wish, one that was asked for is not.
 *
 * @param run The run
 * @param isGiven Whether its precision was asked for
 * @param line Told of another one
 */
export function withPrecision(run: Run, isGiven: boolean, line: Reporter["line"]): Run {
  const { precision = "float32" } = run;
  const { name, precisions } = engineInUse();
  if (isGiven || precisions.includes(precision)) return run;
  line(`note: float32 instead of the recipe's ${precision}, which ${name} does not have`);
  return { ...run, precision: "float32" };
}

/**
 * Settings of a run that would have no effect.
 *
 * @module
 */
import { parseMethods, refuseIdle } from "../../adapters/spec.ts";
import { OneloraError } from "../../dsl/error.ts";
import { NO_METHOD } from "../trainer/method.ts";
import type { GivenSettings } from "../trainer/settings.ts";
import type { Run } from "../trainer/run_settings.ts";

/**
 * Refuses settings that were given and that others leave without effect: whoever gives them counts on them.
 *
 * @param run The run
 * @param given The settings that were given
 * @throws OneloraError (exit code 2) for the first of them
 */
export function refuseIdleSettings(run: Run, { rank, alpha, patience, keep }: GivenSettings): void {
  const refuse = (setting: string, found: string, allowed: string) => {
    throw new OneloraError({ attempted: `setting \`${setting}\``, found, allowed }, { exitCode: 2 });
  };
  // Names first: a slip is told before anything is opened.
  if (run.adapter !== NO_METHOD) parseMethods(run.adapter);
  if (run.adapter !== NO_METHOD) refuseIdle(run.adapter, { rank: rank as number, alpha: alpha as number });
  // The only evaluation is that at the end: nothing is better than it, and nothing is waited for.
  if ((run.evalEvery ?? 0) > 0) return;
  const allowed = "`evalEvery` beside it";
  if (Number(patience ?? 0) > 0) refuse(`patience: ${patience}`, "no evaluations on the way", allowed);
  if (keep === "best" && run.timeLimit === undefined) refuse("keep: best", "no evaluations on the way", allowed);
}

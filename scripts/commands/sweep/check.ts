/**
 * What a sweep is refused for before it begins, since it could only fail or mislead.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { taskKind, taskNames } from "../../../tasks/kinds.ts";
import type { Asked, TaskKind } from "../../../tasks/trainer/task.ts";
import { kebab } from "../../../tasks/trainer/setting.ts";
import type { Settings } from "./folder.ts";

/** A sweep's task, and what it asks of it. */
function askedOf(settings: Settings): readonly [TaskKind, Asked<object>] {
  const kind = taskKind(`${settings.task ?? taskNames[0]}`);
  const own = Object.keys(kind.settings).map((name) => [name, settings[kebab(name)]] as const)
    .filter(([, value]) => value !== undefined);
  const { model = kind.model, data = kind.data } = settings;
  return [kind, { model: `${model}`, data: `${data}`, own: Object.fromEntries(own) }];
}

/**
 * What a sweep's deciding metric is called, where that depends on its settings.
 *
 * @param settings What all cells share
 */
export function metricTitle(settings: Settings): string | undefined {
  const [kind, asked] = askedOf(settings);
  return kind.metricTitle?.(asked);
}

/**
 * Refuses a sweep that cannot work.
 *
 * @param settings What all cells share
 * @param first Data that is learned before
 * @throws OneloraError (exit code 2)
 */
export function checkSettings(settings: Settings, first?: string): void {
  const [kind, asked] = askedOf(settings);
  for (const data of [asked.data, ...first === undefined ? [] : [first]]) {
    const problem = kind.unfit?.({ ...asked, data });
    if (problem !== undefined) throw new OneloraError({ attempted: "planning a sweep", ...problem }, { exitCode: 2 });
  }
}

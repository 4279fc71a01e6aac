/**
 * What a sweep is refused for before it begins, since it could only fail or mislead.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { taskKind, taskNames } from "../../../tasks/kinds.ts";
import type { Asked, TaskKind } from "../../../tasks/trainer/task.ts";
import { kebab } from "../../../tasks/trainer/setting.ts";
import { usage } from "../../cli/options.ts";
import type { Settings } from "./folder.ts";
import type { Given, SweepOptions } from "./options.ts";

/**
 * Refuses flags that the others leave without effect.
 *
 * @param options What was said
 * @param given Flags that were given
 * @throws OneloraError (exit code 2)
 */
export function checkFlags({ list, paper, adapters, part }: SweepOptions, given: Given): void {
  const idle = (names: readonly (keyof SweepOptions)[], beside: string, allowed: string) => {
    const name = names.find((each) => given.has(each));
    if (name !== undefined) throw usage("reading the command line", `--${kebab(name)} beside ${beside}`, allowed);
  };
  if (list) idle(["json", "part"], "--list", "one of them");
  if (part !== undefined) idle(["json"], "--part", "one of them: the command without --part prints what came of it");
  if (!list || paper !== undefined || adapters !== undefined) return;
  const others = [...given].filter((name) => name !== "list");
  idle(others, "--list alone, which lists the paper's tables", "--paper NAME or --adapters SPEC,... beside it");
}

/**
 * A sweep's task.
 *
 * @param settings What all cells share
 * @throws OneloraError (exit code 2) for a name that no task has
 */
export function sweepTask({ task = taskNames[0] }: Settings): TaskKind {
  return taskKind(`${task}`);
}

/** A sweep's task, and what it asks of it. */
function askedOf(settings: Settings): readonly [TaskKind, Asked<object>] {
  const kind = sweepTask(settings);
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
  const { limit = Infinity, validation = 0 } = settings;
  if (Number(validation) > Number(limit)) {
    const found = `\`validation: ${validation}\` with a \`limit\` of ${limit}`;
    throw usage("planning a sweep", found, `at most ${limit}, or another limit`);
  }
  for (const data of [asked.data, ...first === undefined ? [] : [first]]) {
    const problem = kind.unfit?.({ ...asked, data });
    if (problem !== undefined) throw new OneloraError({ attempted: "planning a sweep", ...problem }, { exitCode: 2 });
  }
}

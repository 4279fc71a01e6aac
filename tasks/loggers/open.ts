/**
 * The services that a run is logged to, by name, and a run's way to them: an observer like any other.
 *
 * @module
 */
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { objectIfThere } from "../../dsl/files/if_there.ts";
import { makeFolder, refuseLinks, writeJson } from "../../dsl/files/write.ts";
import { scalarsOf } from "../report/events.ts";
import type { Observer } from "../trainer/observe.ts";
import type { RunResult } from "../trainer/task.ts";
import type { Ending, LoggedRun, LoggerKind, Place, RunLog } from "./logger.ts";
import { mlflow } from "./mlflow.ts";
import { type Sender, sending, within } from "./send.ts";
import { Passing } from "./service.ts";
import { wandb } from "./wandb.ts";

/** The services by name. */
const loggers: Readonly<Record<string, LoggerKind>> = { mlflow, wandb };

/** What `log` takes, in words. */
export function loggerForms(): readonly string[] {
  return Object.entries(loggers).map(([name, { form }]) => `${name}:${form}`);
}

/** Milliseconds that a run waits for a service before its first step. */
const PATIENCE = 10_000;

/**
 * The services that `log` names.
 *
 * @param log Services, separated by commas: `mlflow:http://HOST:PORT`, `wandb:PROJECT`
 * @throws OneloraError (exit code 2) for a service that is not known, a place that is none, a missing key
 */
export function placesOf(log: string): readonly Place[] {
  const places = log.split(",").map((spec) => {
    const [, name, where] = /^([^:]*)(?::(.*))?$/s.exec(spec)!;
    if (name === "tensorboard") {
      const allowed = `no such service, for its file is in every run's folder; ${loggerForms().join(", ")}`;
      throw new OneloraError({ attempted: "choosing `log`", found: `"${name}"`, allowed }, { exitCode: 2 });
    }
    if (!Object.hasOwn(loggers, name)) throw unknownName("`log`", name, loggerForms());
    return loggers[name].at(where, `logging to ${spec.replace(/\/\/[^/@]*@/, "//***@")}`);
  });
  const twice = places.find(({ place }, i) => places.findIndex((other) => other.place === place) < i);
  if (twice === undefined) return places;
  const problem = { attempted: "`log`", found: `${twice.place} twice`, allowed: "each service once" };
  throw new OneloraError(problem, { exitCode: 2 });
}

/** Where a run's folder keeps what the services call it. */
const FILE = "loggers.json";

/** What services called the run in earlier sessions, by place. */
async function earlier(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const path = `${folder}/${FILE}`;
  refuseLinks(`reading ${path}`, path, { within: folder });
  return await objectIfThere(path) ?? {};
}

/**
 * What came of a run, as numbers by tag.
 *
 * @param result The run's result
 */
export function resultsOf(
  { metrics, parameters }: Pick<RunResult, "metrics" | "parameters">,
): Readonly<Record<string, number>> {
  const tagged = (group: string, numbers: object) =>
    Object.fromEntries(Object.entries(numbers).map(([name, value]) => [`${group}/${name}`, value]));
  return { ...tagged("result", metrics), ...tagged("parameters", parameters) };
}

/** A run's logs at services. */
export interface Loggers {
  /** Called with steps. */
  readonly observer: Observer;
  /** Says how the run ended and with what results; waits for a bounded time, never fails. */
  readonly end: (how: Ending, results?: Readonly<Record<string, number>>) => Promise<void>;
}

/** A run that is logged nowhere. */
const NOWHERE: Loggers = { observer: {}, end: () => Promise.resolve() };

/** Opens a log; one whose service does not answer is told of and left out. */
async function opened(
  { place, open }: Place,
  run: LoggedRun,
  line: (text: string) => void,
): Promise<{ readonly log: RunLog; readonly hangUp: () => void } | undefined> {
  const control = new AbortController();
  const hangUp = () => control.abort(new Error(`nothing for ${PATIENCE / 1000} s`));
  const opening = open({ ...run, signal: control.signal });
  try {
    await within(opening.catch(() => {}), PATIENCE) || hangUp();
    const log = await opening;
    line(`logged at ${log.page}`);
    return { log, hangUp };
  } catch (error) {
    if (!(error instanceof OneloraError && error.cause instanceof Passing)) throw error;
    line(`warning: ${error.problem.attempted}: ${error.problem.found}; the run is not logged to ${place}`);
    return undefined;
  }
}

/**
 * Opens a run's logs.
 *
 * @param log Services, separated by commas; undefined for none
 * @param run Its name and settings
 * @param surroundings The run's folder, if it has one; whether it goes on there; where lines go
 * @throws OneloraError for a service that refuses the run; one that does not answer is told of in a line
 */
export async function openLoggers(
  log: string | undefined,
  run: Pick<LoggedRun, "name" | "settings">,
  { out, resume, line }: {
    readonly out: string | undefined;
    readonly resume: boolean;
    readonly line: (text: string) => void;
  },
): Promise<Loggers> {
  const before = out !== undefined && resume ? await earlier(out) : {};
  const places = log === undefined ? [] : placesOf(log);
  // A key goes where it is sent now, and nowhere because a folder says so.
  const left = Object.keys(before).filter((each) => !places.some(({ place }) => place === each));
  if (left.length > 0) line(`note: earlier steps were logged to ${left.join(", ")}, these are not: see \`log\``);
  if (places.length === 0) return NOWHERE;
  const ids: Record<string, unknown> = { ...before };
  const senders: Sender[] = [];
  for (const each of places) {
    const known = before[each.place];
    const one = await opened(each, { ...run, earlier: typeof known === "string" ? known : undefined }, line);
    if (one === undefined) continue;
    ids[each.place] = one.log.id;
    senders.push(sending(one.log, one.hangUp, line));
  }
  if (out !== undefined) {
    await makeFolder(out, { within: out });
    await writeJson(`${out}/${FILE}`, ids, { within: out });
  }
  let step = 0;
  return {
    observer: {
      onRecord: (record) => {
        step = record.step;
        const point = { step, time: Date.now(), values: scalarsOf(record) };
        senders.forEach(({ add }) => add(point));
      },
    },
    end: async (how, results = {}) => {
      const point = { step, time: Date.now(), values: results };
      await Promise.all(senders.map(({ end }) => end(how, point)));
    },
  };
}

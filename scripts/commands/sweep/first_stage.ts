/**
 * The first of two stages: the model learns a first data set with all of its weights, and what comes of it is the model that
 * the methods start from (paper, Section 4.1).
 *
 * @module
 */
import { join } from "node:path";
import { OneloraError } from "../../../dsl/error.ts";
import { sweepTask } from "./check.ts";
import { kebab } from "../../../tasks/trainer/setting.ts";
import { ownSettings, runSettings } from "../../../tasks/trainer/settings.ts";
import { readRunConfig } from "../../../tasks/fine_tune/config.ts";
import { childOutput } from "../../cli/child.ts";
import { moduleArgument, taskArguments, taskEnvironment } from "../../cli/deno.ts";
import { type Place, runCell } from "./cell.ts";
import { type Settings, stageOf } from "./folder.ts";
import { type Claiming, insideSlot } from "./part.ts";
import type { Cell } from "./plan.ts";
import type { Slots } from "./slots.ts";

/** A first stage. */
export interface FirstStage extends Place {
  /** What is learned first, as `--data` takes it. */
  readonly data: string;
  /** Learning rate (default: the recipe's). */
  readonly rate?: number;
  /** Places for runs. */
  readonly slots: Slots;
  /** Whose turn it is. */
  readonly rank: number;
  /** Keeps other workers out (default: there are none). */
  readonly claim?: Claiming;
}

/** A data set's name as a folder's. */
function slug(data: string): string {
  return data.replace(/[^\w.+=-]+/g, "-");
}

/**
 * Settings of a sweep with the recipe of its model written out: a merged model in a folder has another name, and would get
 * the recipe of any folder.
 *
 * @param settings What all cells share
 */
export function withRecipe(settings: Settings): Settings {
  const kind = sweepTask(settings);
  const { model = kind.model, data = kind.data } = settings;
  const { own = {}, ...recipe } = kind.recipe(`${model}`, `${data}`);
  const known = { ...runSettings, ...ownSettings(kind) };
  const named = Object.fromEntries(
    Object.entries({ ...recipe, ...own }).filter(([name, value]) => value !== undefined && Object.hasOwn(known, name))
      .map(([name, value]) => [kebab(name), value as string | number | boolean]),
  );
  const { steps: _steps, epochs: _epochs, ...rest } = named;
  return { ...("steps" in settings || "epochs" in settings ? rest : named), ...settings };
}

/** The first stage's run as a cell. */
function firstCell({ data, rate }: Pick<FirstStage, "data" | "rate">): Cell {
  return { name: `first/${slug(data)}/run`, method: "all", adapter: "all", rate, seed: 0 };
}

/** What an interrupt of a first stage is. */
function interrupted(data: string): OneloraError {
  return new OneloraError({
    attempted: `learning ${data} first`,
    found: "an interrupt",
    allowed: "the same command again, which continues from there",
  });
}

/**
 * Trains and merges, unless that is done already; goes on with what was begun, and waits for another worker that does it.
 *
 * @param stage What and where
 * @returns The model's folder
 * @throws OneloraError if it cannot be trained, or was interrupted
 */
export async function firstStage(stage: FirstStage): Promise<string> {
  const { folder, data, slots, rank, signal, claim } = stage;
  const model = `${folder}/first/${slug(data)}/model`;
  const isMade = () => Deno.lstat(model).then(({ isDirectory }) => isDirectory, () => false);
  const found = await insideSlot({ slots, rank, signal, wait: true }, async () => {
    if (signal.aborted) return undefined;
    using own = await claim?.(`first/${slug(data)}`);
    if (await isMade()) return model;
    return claim !== undefined && own === undefined ? undefined : await made(stage, model);
  });
  if (found === undefined) throw interrupted(data);
  return found;
}

/** Trains and merges into a folder. */
async function made(stage: FirstStage, model: string): Promise<string> {
  const { folder, data, settings, signal } = stage;
  const cell = firstCell(stage);
  const run = `${folder}/${cell.name}`;
  if (await stageOf(run) !== "finished") {
    await runCell(cell, { ...stage, settings: { ...settings, data } }).catch((error) => {
      throw signal.aborted ? interrupted(data) : error;
    });
  }
  const { run: { model: base } } = await readRunConfig(run);
  // Renamed when it is complete: what an interrupt leaves is no model.
  const merging = `${model}.part`;
  await Deno.remove(merging, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const script = moduleArgument(new URL("../merge.ts", import.meta.url));
  const flags = ["--model", base, "--adapter", join(run, "adapter"), "--out", merging];
  await childOutput([...taskArguments("merge"), script, ...flags], {
    attempted: `merging ${run}`,
    env: taskEnvironment("merge"),
    signal,
  });
  await Deno.rename(merging, model);
  return model;
}

/**
 * The one place that knows the engines: it finds what this machine has and makes tfjs run on it.
 *
 * @module
 */

// For its registration of tfjs-core's gradients; the umbrella package @tensorflow/tfjs, three times the download, adds
// nothing that is used here.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import { commandLine } from "../command_line.ts";
import { firstLine, OneloraError, unknownName } from "../error.ts";
import { engineInUse, register } from "./in_use.ts";
import type { BackendName, Engine, OpenOptions } from "./interface.ts";
import { backendNames, engineKind } from "./kinds.ts";
import { fastest, figuresFile, figuresOf, figuresText, measureBackend } from "./measure.ts";

/** What came of trying one engine. */
export interface BackendTrial {
  /** The engine. */
  readonly name: BackendName;
  /** Whether it computes on this machine. */
  readonly works: boolean;
  /** One line: what was found, or why it does not work. */
  readonly why: string;
}

/** What was tried, what was chosen, and how to get something faster. */
export interface BackendReport {
  /** The engine that tfjs now uses. */
  readonly chosen: BackendName;
  /** The same engine, and what it can do. */
  readonly engine: Engine;
  /** Every engine that was tried, in order. */
  readonly tried: readonly BackendTrial[];
  /** One line on how to get a faster engine; empty where the fastest is in use. */
  readonly advice: string;
}

/** Opens one engine, makes it tfjs's and lets it add two numbers. */
async function attempt(name: BackendName, choice: "auto" | "forced", options: OpenOptions = {}): Promise<BackendTrial> {
  const before = tf.engine().backendName;
  try {
    const kind = engineKind(name);
    const device = await kind.open(choice, options);
    if (!await tf.setBackend(name)) throw new Error("tfjs could not initialise it");
    await tf.ready();
    const sum = tf.tidy(() => tf.add(tf.tensor1d([1, 2]), tf.scalar(1)));
    const [first, second] = await sum.data();
    sum.dispose();
    if (first !== 2 || second !== 3) throw new Error(`[1, 2] + 1 gave [${first}, ${second}]`);
    const { lacks = {} } = device;
    register({ ...kind, device, precisions: kind.precisions.filter((each) => lacks[each] === undefined) });
    return { name, works: true, why: device.text };
  } catch (error) {
    if (before in tf.engine().registry) await tf.setBackend(before);
    return { name, works: false, why: firstLine(error) };
  }
}

/** What the engines on trial take for a product and a small step, in words with the rest; the fastest comes last. */
async function compared(working: readonly BackendTrial[]): Promise<readonly BackendTrial[]> {
  const devices = Object.fromEntries(working.map(({ name, why }) => [name, why]));
  const figures = await figuresOf(devices, figuresFile(), async (name) => {
    await tf.setBackend(name);
    return await measureBackend();
  });
  const best = fastest(figures);
  await tf.setBackend(best);
  return working.map((trial) => ({ ...trial, why: `${trial.why}; ${figuresText(figures[trial.name]!)}` }));
}

/**
 * Makes tfjs compute on an engine, with gradients registered. `auto` takes tensorflow where it is installed; else the faster
 * of webgpu (with a hardware adapter) and wasm, by measuring a product and a small step, which is remembered in the user's
 * cache; else cpu. A named engine is taken or refused.
 *
 * @param choice The engine, or `auto`
 * @param options Threads of the wasm engine
 * @returns What was tried and chosen
 * @throws {OneloraError} when the named engine does not exist or does not work on this machine, and for threads of one that
 * decides about them itself
 *
 * @example
 * ```ts
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const report = await useBackend("cpu");
 * assertEquals(report.chosen, "cpu");
 * ```
 */
export async function useBackend(choice: BackendName | "auto", options: OpenOptions = {}): Promise<BackendReport> {
  if (choice !== "auto" && !backendNames.includes(choice)) {
    throw unknownName("backend", choice, ["auto", ...backendNames]);
  }
  let tried: readonly BackendTrial[] = [];
  for (const each of choice === "auto" ? backendNames : [choice]) {
    const trial = await attempt(each, choice === "auto" ? "auto" : "forced", options);
    tried = [...tried, trial];
    if (trial.works && (choice !== "auto" || !engineKind(each).isMeasured)) {
      const working = tried.filter(({ works }) => works);
      if (working.length > 1) {
        const told = await compared(working);
        tried = tried.map((before) => told.find(({ name }) => name === before.name) ?? before);
      }
      const engine = engineInUse();
      const { name } = engine;
      if (options.threads !== undefined && engine.device.threads === undefined) {
        throw new OneloraError({
          attempted: `starting ${options.threads} threads`,
          found: `the ${name} backend, which decides that itself`,
          allowed: "`threads` with the wasm backend",
        }, { exitCode: 2 });
      }
      return { chosen: name, engine, tried, advice: engine.advice };
    }
  }
  throw new OneloraError({
    attempted: `starting the ${choice} backend`,
    found: tried.map((trial) => trial.why).join("; "),
    allowed: `auto, or a backend that \`${commandLine("doctor")}\` reports as working`,
  });
}

/**
 * Tries every engine, then leaves tfjs on the one that `auto` would choose.
 *
 * @returns What `auto` chooses, with a trial of all engines
 */
export async function inspectBackends(): Promise<BackendReport> {
  const tried: BackendTrial[] = [];
  for (const name of backendNames) tried.push(await attempt(name, "auto"));
  return { ...await useBackend("auto"), tried };
}

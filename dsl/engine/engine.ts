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
    register({ ...kind, device });
    return { name, works: true, why: device.text };
  } catch (error) {
    if (before in tf.engine().registry) await tf.setBackend(before);
    return { name, works: false, why: firstLine(error) };
  }
}

/**
 * Makes tfjs compute on an engine, with gradients registered. `auto` takes the first that works of tensorflow,
 * webgpu (with a hardware adapter), wasm and cpu; a named engine is taken or refused.
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
  const tried: BackendTrial[] = [];
  for (const name of choice === "auto" ? backendNames : [choice]) {
    const trial = await attempt(name, choice === "auto" ? "auto" : "forced", options);
    tried.push(trial);
    if (trial.works) {
      const engine = engineInUse();
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

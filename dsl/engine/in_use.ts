/**
 * The engine in use.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { kernelByKernel, kernelPasses } from "../compile/replay.ts";
import type { BackendName, Engine } from "./interface.ts";

const opened = new Map<string, Engine>();

/**
 * Says that an engine is there; it is in use while tfjs's backend is the one of its name.
 *
 * @param engine The engine
 */
export function register(engine: Engine): void {
  opened.set(engine.name, engine);
}

/** Whether `useBackend` has chosen an engine, and tfjs is still set to it. */
export function isEngineChosen(): boolean {
  return opened.has(tf.engine().backendName);
}

/** The engine of tfjs's backend; one that tfjs was set to by other hands than `useBackend`'s replays kernels in float32. */
export function engineInUse(): Engine {
  const name = tf.getBackend() as BackendName;
  return opened.get(name) ?? {
    name,
    embedded: false,
    precisions: ["float32"],
    advice: "",
    overhead: { start: 0, process: 0, call: 0, kernel: 0, reading: 0, slack: 0 },
    device: { kind: "cpu", text: name },
    open: () => Promise.reject(new Error(`${name} is not an engine of this package`)),
    passes: () => kernelPasses(name),
    replay: kernelByKernel,
  };
}

/**
 * How fast engines are here: what `auto` chooses by where several would do, remembered between processes.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../compile/compile.ts";
import { dirname } from "../files/path.ts";
import { writeJson } from "../files/write.ts";
import { grantedVariable, isGranted } from "../permission.ts";
import type { BackendName } from "./interface.ts";

/** Seconds that an engine takes for what training is made of. */
export interface Figures {
  /** A product of two matrices of 512 x 512: what large models wait for. */
  readonly product: number;
  /** A step of six layers and its gradient on small tensors, compiled as training is: what small models wait for. */
  readonly step: number;
}

/** Seconds that are spent on a figure, at most one run more: slow engines need no more to be known as slow. */
const ENOUGH = 0.2;

/** Least seconds of a few runs, each until its result can be read. */
async function least(runs: number, compute: () => tf.Tensor): Promise<number> {
  let seconds = Infinity;
  const start = performance.now();
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    if (run > 1 && began - start > ENOUGH * 1000) break;
    const result = tf.tidy(compute);
    await result.data();
    result.dispose();
    // The first run compiles.
    if (run > 0) seconds = Math.min(seconds, (performance.now() - began) / 1000);
  }
  return seconds;
}

/** Measures the backend in use, in some hundred milliseconds. */
export async function measureBackend(): Promise<Figures> {
  const square = tf.ones([512, 512]);
  const [x, w] = [tf.ones([64, 96]), tf.ones([96, 96])];
  const gradient = compile(tf.grad((w: tf.Tensor) => {
    let y: tf.Tensor = x;
    for (let layer = 0; layer < 6; layer++) {
      y = tf.softmax(tf.add(tf.relu(tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D)), 0.1));
    }
    return tf.mean(tf.square(y));
  }));
  try {
    return {
      product: await least(4, () => tf.slice(tf.matMul(square, square), [0, 0], [1, 1])),
      step: await least(6, () => tf.sum(gradient(w))),
    };
  } finally {
    gradient.dispose();
    tf.dispose([square, x, w]);
  }
}

/** Seconds by which engines are compared: both count, the step several times, as a model has several layers. */
function total({ product, step }: Figures): number {
  return product + 4 * step;
}

/**
 * The fastest of engines.
 *
 * @param figures What was measured of each
 */
export function fastest(figures: Readonly<Partial<Record<BackendName, Figures>>>): BackendName {
  const names = Object.keys(figures) as BackendName[];
  return names.reduce((best, name) => total(figures[name]!) < total(figures[best]!) ? name : best);
}

/**
 * Figures in words.
 *
 * @param figures What was measured
 */
export function figuresText({ product, step }: Figures): string {
  const milliseconds = (seconds: number) => Number((seconds * 1000).toPrecision(2));
  return `product ${milliseconds(product)} ms, small step ${milliseconds(step)} ms`;
}

/** Where figures are remembered, in the user's cache; nothing where it is not known. */
export function figuresFile(): string | undefined {
  const home = grantedVariable("HOME") ?? grantedVariable("USERPROFILE");
  const caches = grantedVariable("XDG_CACHE_HOME") ?? (home === undefined ? undefined : `${home}/.cache`);
  return caches === undefined ? undefined : `${caches}/onelora/backends.json`;
}

function isFigures(value: unknown): value is Figures {
  const { product, step } = (value ?? {}) as Partial<Figures>;
  return [product, step].every((seconds) => typeof seconds === "number" && seconds > 0 && Number.isFinite(seconds));
}

/**
 * Figures of devices, measured or remembered. A file that cannot be read or written is done without.
 *
 * @param devices The devices by the engine's name, each in words: other words are another device
 * @param file Where they are remembered
 * @param measure Measures one
 */
export async function figuresOf(
  devices: Readonly<Partial<Record<BackendName, string>>>,
  file: string | undefined,
  measure: (name: BackendName) => Promise<Figures>,
): Promise<Readonly<Partial<Record<BackendName, Figures>>>> {
  const remembered = file === undefined ? {} : await readRemembered(file);
  const keys = Object.entries(devices).map(([name, text]) =>
    [name as BackendName, `${name}, compiled: ${text}`] as const
  );
  const figures: Partial<Record<BackendName, Figures>> = {};
  let isNew = false;
  for (const [name, key] of keys) {
    const known = remembered[key];
    figures[name] = isFigures(known) ? known : await measure(name);
    isNew ||= figures[name] !== known;
  }
  if (file !== undefined && isNew) {
    const all = { ...remembered, ...Object.fromEntries(keys.map(([name, key]) => [key, figures[name]])) };
    await remember(file, all);
  }
  return figures;
}

async function readRemembered(file: string): Promise<Readonly<Record<string, unknown>>> {
  if (!isGranted({ name: "read", path: file })) return {};
  try {
    const found: unknown = JSON.parse(await Deno.readTextFile(file));
    return typeof found === "object" && found !== null ? found as Record<string, unknown> : {};
  } catch {
    return {};
  }
}

async function remember(file: string, figures: Readonly<Record<string, unknown>>): Promise<void> {
  if (!isGranted({ name: "write", path: file })) return;
  try {
    await Deno.mkdir(dirname(file), { recursive: true });
    await writeJson(file, figures);
  } catch {
    // Measured again next time.
  }
}

/**
 * Batches that a diffusion model is trained on.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { fold, key, uniform } from "../../dsl/random.ts";
import type { Params } from "../../dsl/tree.ts";
import { type HeldArray, holdExamples } from "../data/held.ts";
import { type Position, stream, type StreamOptions } from "../data/stream.ts";
import { tableTensor, wordsIn } from "../data/words.ts";
import { type BatchPart, rowsOf, stepSpans, type TaskBatch } from "../trainer/parts.ts";
import { dropLabels } from "./diffusion.ts";
import { type DiffusionInput, noiseOf } from "./objective.ts";
import { trainedSchedule } from "./schedule.ts";
import { cleanBatches, type CleanSource } from "./source.ts";

/** Share of labels that are dropped in training, DiT's. */
const DROPPED = 0.1;

/** How training examples are fed. */
export interface GenerationFeed extends Omit<StreamOptions, "start" | "epochs"> {
  /** Parts that a step's examples are split into at most (default 1). */
  readonly accumulate?: number;
  /** The model's number for each class of the data; by default the same. */
  readonly relabel?: ArrayLike<number>;
  /** Keep all pictures on the device; the source then makes them as they are, not mirrored (default false). */
  readonly onDevice?: boolean;
  /** Called when pictures are kept on the device. */
  readonly onLine?: (line: string) => void;
  /** Probability of mirroring a picture that stays on the device (default 0). */
  readonly flip?: number;
}

/** Some of a step's examples before they are noised. */
interface CleanPart {
  /** Their tensors by a span of the step's examples. */
  readonly tensorsOf: (span: readonly [begin: number, end: number]) => Pick<BatchPart, "tensors" | "staying">;
  readonly labels: Int32Array;
  readonly position: Position;
  readonly next: Position;
}

/** What is kept of a picture where all stay on the device. */
function heldClean([channels, height, width]: readonly number[], packed: boolean): Readonly<Record<string, HeldArray>> {
  return packed
    ? { words: { shape: [channels, height, width / 4], dtype: "int32" } }
    : { clean: { shape: [channels, height, width], dtype: "float32" } };
}

/**
 * What is kept of a picture where all stay on the device: its bytes where rows are whole words.
 *
 * @param input What the model takes
 */
export function heldPicture({ shape }: Pick<DiffusionInput, "shape">): Readonly<Record<string, HeldArray>> {
  return heldClean(shape, shape[2] % 4 === 0);
}

function tableOf(tables: Float32Array | undefined): Params {
  return tables === undefined ? {} : { table: tableTensor(tables) };
}

/** Clean examples that are sent with every step. */
async function* sent(source: CleanSource, input: DiffusionInput, order: StreamOptions): AsyncGenerator<CleanPart> {
  const { tables } = source;
  const [channels, height, width] = input.shape;
  const shape = tables === undefined ? input.shape : [channels, height, width / 4];
  for await (const { values, shape: [...all], labels, position, next } of cleanBatches(source, shape, order)) {
    const tensorsOf = (span: readonly [number, number]) => ({
      tensors: (): Params => {
        const { values: some, shape: [...size] } = rowsOf(values, all, span);
        if (tables === undefined) return { clean: tf.tensor(some, size) };
        return { words: tf.tensor(wordsIn(some), size, "int32"), ...tableOf(tables) };
      },
    });
    yield { tensorsOf, labels, position, next };
  }
}

/** Clean examples that stay on the device. */
async function* kept(
  source: CleanSource,
  input: DiffusionInput,
  order: StreamOptions,
  { flip = 0, accumulate, onLine }: Pick<GenerationFeed, "flip" | "accumulate" | "onLine">,
): AsyncGenerator<CleanPart> {
  const { tables } = source;
  const arrays = heldClean(input.shape, tables !== undefined);
  const [name] = Object.keys(arrays);
  using held = await holdExamples(source, arrays, ({ values, label }) => ({
    values: { [name]: values },
    rest: label,
  }), { ...order, accumulate, onLine });
  for await (const { items, position, next } of stream(held.source, order)) {
    const mirrored = Int32Array.from(items, (item) => uniform(fold(item.key, "flip"), 1)[0] < flip ? 1 : 0);
    const tensorsOf = (span: readonly [number, number]) => {
      const { tensors, staying } = held.tensorsOf(items.slice(...span));
      return {
        tensors: (): Params => ({
          ...tensors(),
          ...tableOf(tables),
          ...flip > 0 && { mirrored: tf.tensor1d(mirrored.slice(...span), "int32") },
        }),
        staying,
      };
    };
    yield { tensorsOf, labels: Int32Array.from(items, ({ rest }) => rest), position, next };
  }
}

/**
 * Batches with noise, steps and dropped labels, drawn by keys.
 *
 * @param source Clean examples
 * @param input What the model takes
 * @param feed How they are fed
 * @param start Where to start
 */
export async function* generationBatches(
  source: CleanSource,
  input: DiffusionInput,
  feed: GenerationFeed,
  start: Position,
): AsyncGenerator<TaskBatch, void, void> {
  const { relabel, onDevice } = feed;
  const order = { ...feed, start, epochs: Infinity };
  const schedule = trainedSchedule(input.process);
  const batches = onDevice ? kept(source, input, order, feed) : sent(source, input, order);
  for await (const { tensorsOf, labels, position, next } of batches) {
    const drawn = fold(key(feed.seed), "diffusion", position.epoch, position.offset);
    const named = labels.map((label) => relabel?.[label] ?? label);
    const shape = [labels.length, ...input.shape];
    const noised = noiseOf(schedule, { shape, labels: dropLabels(named, input.classes, DROPPED, drawn) }, drawn);
    const parts = stepSpans(labels.length, feed).map((span): BatchPart => {
      const { tensors, staying } = tensorsOf(span);
      return { tensors: () => ({ ...tensors(), ...noised(span) }), staying, counted: span[1] - span[0] };
    });
    yield { parts, next };
  }
}

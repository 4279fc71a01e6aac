/**
 * Clean examples for a diffusion model from a data set of images: pixels, or latents that an autoencoder makes of them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ImageDataset } from "../data/dataset.ts";
import { imageSource, type PreparedImage } from "../data/loader.ts";
import { type ExampleSource, stream, type StreamOptions } from "../data/stream.ts";
import type { Autoencoder } from "./autoencoder.ts";
import { cachedLatents, latentKey } from "./latents.ts";
import type { CleanBatch, DiffusionInput } from "./objective.ts";
import { generationTables, generationTransform } from "./preprocess.ts";

/** A clean batch, and where the next one starts. */
export interface PlacedBatch extends CleanBatch {
  /** Where it starts. */
  readonly position: { readonly epoch: number; readonly offset: number };
  /** Where the next one starts. */
  readonly next: { readonly epoch: number; readonly offset: number };
}

/** Examples ready for a model; the caller closes them. */
export interface CleanSource extends ExampleSource<PreparedImage> {
  /** What pictures that are left as bytes stand for, [C, 256]. */
  readonly tables?: Float32Array;
  /** Lets go of what was opened. */
  readonly close: () => void | PromiseLike<void>;
}

/** How training examples are made. */
export interface SourceOptions {
  /** Mirror half of the images. */
  readonly mirrored: boolean;
  /** Leave pictures as bytes where they can be. */
  readonly packed?: boolean;
  /** Folder of latents that were made before, or will be. */
  readonly cache: string;
  /** Fail at an unreadable image instead of leaving it out. */
  readonly strict?: boolean;
  /** Called for every image left out of the latents. */
  readonly onSkip?: (line: string) => void;
  /** Called with what happens. */
  readonly onLine: (line: string) => void;
}

/**
 * Training examples: pixels from -1 to 1 for a model of pixels; with an autoencoder, samples of the latents' posterior, which
 * are computed once and kept in a file named by what they are of.
 *
 * @param dataset The images
 * @param input What the model takes
 * @param autoencoder The model's, if it works on latents
 * @param options See {@linkcode SourceOptions}
 */
export async function cleanSource(
  dataset: ImageDataset,
  { shape: [channels, size] }: DiffusionInput,
  autoencoder: Autoencoder | undefined,
  { mirrored, packed: asked = false, cache, strict, onSkip, onLine }: SourceOptions,
): Promise<CleanSource> {
  if (autoencoder === undefined) {
    const packed = asked && size % 4 === 0;
    const transform = generationTransform({ size, channels, flip: mirrored ? 0.5 : 0, packed });
    const tables = packed ? generationTables(channels) : undefined;
    return { ...imageSource(dataset, transform), tables, close: () => {} };
  }
  const { image, encode, name, factor } = autoencoder;
  const encoding = { ...image, dataset, mirrored, encode, encoder: name, strict, onSkip, onTotal: onLine };
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(await latentKey(encoding)));
  const path = `${cache}/${new Uint8Array(digest).toHex().slice(0, 16)}.safetensors`;
  onLine(`latents of ${dataset.name}: ${path}`);
  await Deno.mkdir(cache, { recursive: true });
  const latents = await cachedLatents(path, encoding, { factor });
  return { ...latents, close: () => latents[Symbol.asyncDispose]() };
}

/**
 * Batches of a source.
 *
 * @param source The examples
 * @param shape [C, H, W] of each, or, of those left as bytes, [C, H, W / 4]
 * @param options How to batch
 */
export async function* cleanBatches(
  source: ExampleSource<PreparedImage>,
  shape: readonly number[],
  options: StreamOptions,
): AsyncGenerator<PlacedBatch, void, void> {
  const size = shape.reduce((product, each) => product * each, 1);
  for await (const { items, position, next } of stream(source, options)) {
    const values = new Float32Array(items.length * size);
    items.forEach((item, i) => values.set(item.values, i * size));
    const labels = Int32Array.from(items, ({ label }) => label);
    yield { values, shape: [items.length, ...shape], labels, position, next };
  }
}

/**
 * Examples to judge by, neither mirrored nor sampled: pixels, or the posterior's mean.
 *
 * @param dataset The images
 * @param input What the model takes
 * @param autoencoder The model's, if it works on latents
 * @param options How to batch
 */
export async function* heldOutBatches(
  dataset: ImageDataset,
  { shape }: DiffusionInput,
  autoencoder: Autoencoder | undefined,
  options: StreamOptions,
): AsyncGenerator<PlacedBatch, void, void> {
  const image = autoencoder?.image ?? { channels: shape[0], size: shape[1] };
  const transform = generationTransform({ ...image, flip: 0 });
  for await (const batch of cleanBatches(imageSource(dataset, transform), transform.shape, options)) {
    if (autoencoder === undefined) {
      yield batch;
      continue;
    }
    const latents = tf.tidy(() => {
      const [mean] = autoencoder.encode(tf.tensor(batch.values, [...batch.shape]));
      return tf.mul(mean, autoencoder.factor);
    });
    yield { ...batch, values: await latents.data<"float32">(), shape: latents.shape };
    latents.dispose();
  }
}

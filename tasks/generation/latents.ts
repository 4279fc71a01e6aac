/**
 * Latents on disk: an autoencoder sees every image once, and training samples its posterior anew in every epoch.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { placeAt } from "../data/files.ts";
import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, key, normal, uniform } from "../../dsl/random.ts";
import { turn } from "../../dsl/turn.ts";
import { type NamedSource, openSafetensors, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { type ExampleSource, leftOut, type Preparer } from "../data/stream.ts";
import { generationTransform } from "./preprocess.ts";

/** Pixels [B, C, H, W] from -1 to 1 -> mean and log variance of the latents, [B, L, h, w] each. */
export type LatentEncoder = (pixels: tf.Tensor) => readonly [mean: tf.Tensor, logvar: tf.Tensor];

/** What to encode, and how. */
export interface EncodeOptions {
  /** The images. */
  readonly dataset: ImageDataset;
  /** Height and width that the autoencoder takes. */
  readonly size: number;
  /** Channels that it takes, 1 or 3. */
  readonly channels: number;
  /** Encode the mirrored image, too, so that training can choose; default true. */
  readonly mirrored?: boolean;
  /** The autoencoder. */
  readonly encode: LatentEncoder;
  /** Its name; part of what the latents are known by. */
  readonly encoder: string;
  /** Images encoded at a time; default 16. */
  readonly batchSize?: number;
  /** Fail at an unreadable image instead of leaving it out. */
  readonly strict?: boolean;
  /** Called for every image left out. */
  readonly onSkip?: (line: string) => void;
  /** Called at the end with the number of images left out, if any. */
  readonly onTotal?: (line: string) => void;
  /** Called after every batch. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Images whose bytes stand for the whole data set. */
const PROBES = 16;

/**
 * What latents are of, as text: the data set (with a digest of its size, classes and sixteen of its images), preparation and
 * autoencoder. Equal texts, equal latents.
 *
 * @param options What would be encoded
 */
export async function latentKey(options: Omit<EncodeOptions, "encode">): Promise<string> {
  const { dataset, size, channels, mirrored = true, encoder } = options;
  const parts: Uint8Array[] = [new TextEncoder().encode(JSON.stringify([dataset.size, dataset.classes]))];
  for (let i = 0; i < PROBES; i++) {
    const index = Math.floor(i * dataset.size / PROBES);
    const image = await readable(dataset, index);
    parts.push(new TextEncoder().encode(JSON.stringify([index, image?.height, image?.width, image?.label])));
    if (image !== undefined) parts.push(image.pixels);
  }
  const bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  return `${dataset.name} (${digest}) at ${size}x${size}x${channels}${mirrored ? ", mirrored too" : ""}, by ${encoder}`;
}

/** An image, or nothing if it cannot be read. */
async function readable(dataset: ImageDataset, index: number, options: Pick<EncodeOptions, "strict" | "onSkip"> = {}) {
  try {
    return await dataset.get(index);
  } catch (error) {
    if (!(error instanceof OneloraError) || options.strict) throw error;
    options.onSkip?.(error.message);
    return undefined;
  }
}

const LABELS = "labels";
/** The label of an image that could not be read. */
const UNREADABLE = 0xffff;

function nameOf(index: number): string {
  // As wide as the largest index, so that order by name is order by index.
  return `latents.${`${index}`.padStart(10, "0")}`;
}

/** Mean and log variance of a batch, one array [2 L, h, w] an image. */
async function encodeBatch(encode: LatentEncoder, pixels: Float32Array[], shape: readonly number[]) {
  const moments = tf.tidy(() => {
    const all = new Float32Array(pixels.length * pixels[0].length);
    pixels.forEach((image, i) => all.set(image, i * image.length));
    return tf.concat([...encode(tf.tensor(all, [pixels.length, ...shape]))], 1);
  });
  const values = await moments.data<"float32">();
  const latent = moments.shape.slice(1);
  moments.dispose();
  const stride = values.length / pixels.length;
  return { latent, each: pixels.map((_, i) => values.slice(i * stride, (i + 1) * stride)) };
}

/**
 * Encodes every image of a data set once and keeps mean and log variance: a safetensors file with `latents.{index}`
 * [1 or 2 (mirrored), 2 L, h, w] in float32, `labels` [N] in uint16 (65535 where the image could not be read), and
 * {@linkcode latentKey} under `key` in its metadata. Memory does not grow with the data set.
 *
 * @param path Where the file shall be
 * @param options What to encode, and how
 * @throws OneloraError for an unreadable image, if strict, and for a place that cannot be written
 */
export async function encodeLatents(path: string, options: EncodeOptions): Promise<void> {
  const { dataset, size, channels, mirrored = true, encode, batchSize = 16, onProgress } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1 || dataset.size === 0 || dataset.classes.length > UNREADABLE) {
    throw new OneloraError({
      attempted: `encoding ${dataset.name}`,
      found: `${dataset.size} images of ${dataset.classes.length} classes in batches of ${batchSize}`,
      allowed: `one image or more of at most ${UNREADABLE} classes, batches of 1 or more`,
    });
  }
  const variants = (mirrored ? [0, 1] : [0]).map((flip) => generationTransform({ size, channels, flip }));
  const { shape } = variants[0];
  const { latent } = await encodeBatch(encode, [new Float32Array(channels * size * size)], shape);
  const labels = new Uint16Array(dataset.size).fill(UNREADABLE);
  const stride = latent.reduce((product, length) => product * length, 1);

  const batch = async (first: number): Promise<readonly Float32Array[]> => {
    const end = Math.min(dataset.size, first + batchSize);
    const indices = Array.from({ length: end - first }, (_, i) => first + i);
    const images = await Promise.all(indices.map((index) => readable(dataset, index, options)));
    const read = images.filter((image) => image !== undefined);
    images.forEach((image, i) => labels[first + i] = image?.label ?? UNREADABLE);
    const encoded: Float32Array[][] = [];
    for (const variant of variants) {
      await turn();
      const pixels = read.map((image) => variant.apply(image, key(0)));
      encoded.push(pixels.length === 0 ? [] : (await encodeBatch(encode, pixels, shape)).each);
    }
    let next = 0;
    const out = images.map((image) => {
      const both = new Float32Array(variants.length * stride);
      if (image !== undefined) {
        encoded.forEach((each, variant) => both.set(each[next], variant * stride));
        next++;
      }
      return both;
    });
    onProgress?.(end, dataset.size);
    return out;
  };

  let current: { readonly first: number; readonly values: readonly Float32Array[] } | undefined;
  const valuesOf = async (index: number): Promise<Float32Array> => {
    const first = index - index % batchSize;
    if (current?.first !== first) current = { first, values: await batch(first) };
    return current.values[index - first];
  };
  const entries = function* (): Generator<NamedSource> {
    for (let index = 0; index < dataset.size; index++) {
      yield [nameOf(index), {
        dtype: "F32",
        shape: [variants.length, ...latent],
        data: () => valuesOf(index),
      }];
    }
    // The writer takes wider types first, so labels are known when their turn comes.
    yield [LABELS, { dtype: "U16", shape: [dataset.size], data: () => labels }];
  };
  await writeSafetensors(path, entries(), { metadata: { key: await latentKey(options) } });
  const total = leftOut(labels.filter((label) => label === UNREADABLE).length, dataset.size, dataset.name);
  if (total !== undefined) options.onTotal?.(total);
}

/** A latent as a step takes it. */
export interface LatentExample {
  /** [L, h, w], a sample of the posterior times the factor. */
  readonly values: Float32Array;
  /** Index into the data set's classes. */
  readonly label: number;
}

/** Encoded images; `get` samples the posterior. */
export interface LatentSource extends ExampleSource<LatentExample>, AsyncDisposable {
  /** [L, h, w]. */
  readonly shape: readonly [number, number, number];
}

/** How latents are sampled. */
export interface LatentOptions {
  /** What they are multiplied with; Stable Diffusion's autoencoders' 0.18215 by default. */
  readonly factor?: number;
  /** Probability of taking the mirrored image, where there is one; default 0.5. */
  readonly flip?: number;
}

/**
 * Opens encoded images as a source of training examples: factor * (mean + exp(logvar / 2) * noise), with noise and mirroring
 * a function of the key, which a stream makes from seed, epoch and index.
 *
 * @param path A file of {@linkcode encodeLatents}
 * @param expected The {@linkcode latentKey} that it must have
 * @param options How latents are sampled
 * @throws OneloraError for a file that is of something else, or no such file
 */
export async function openLatents(path: string, expected: string, options: LatentOptions = {}): Promise<LatentSource> {
  const { factor = 0.18215, flip = 0.5 } = options;
  const checkpoint = await openSafetensors(path);
  try {
    const attempted = `reading latents from ${path}`;
    const found = checkpoint.metadata.key;
    if (found !== expected) {
      throw new OneloraError({ attempted, found: found ?? "no key", allowed: `${expected}, or no file there yet` });
    }
    const labels = (await checkpoint.read(LABELS)).data as Uint16Array;
    const [variants, moments, height, width] = checkpoint.info(nameOf(0)).shape;
    const length = moments / 2 * height * width;
    return {
      name: path,
      size: labels.length,
      shape: [moments / 2, height, width],
      get: async (index: number, key: Key) => {
        if (labels[index] === undefined || labels[index] === UNREADABLE) {
          throw new OneloraError({
            attempted: `${attempted}, image ${index}`,
            found: labels[index] === undefined ? `${labels.length} images` : "an image that could not be read",
            allowed: "an image that was encoded",
          });
        }
        const values = (await checkpoint.read(nameOf(index))).data as Float32Array;
        const start = variants === 2 && uniform(fold(key, "flip"), 1)[0] < flip ? 2 * length : 0;
        const sampled = normal(fold(key, "posterior"), length);
        for (let i = 0; i < length; i++) {
          const deviation = Math.exp(0.5 * values[start + length + i]);
          sampled[i] = factor * (values[start + i] + deviation * sampled[i]);
        }
        return { values: sampled, label: labels[index] };
      },
      portable: {
        origin: {
          module: import.meta.url,
          name: "latentPreparer",
          arguments: [path, expected, options],
          reads: [path],
        },
        heavy: false,
      },
      [Symbol.asyncDispose]: () => checkpoint.close(),
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/**
 * How another thread makes examples of encoded images; arguments are those of {@linkcode openLatents}.
 *
 * @param path A file of {@linkcode encodeLatents}
 * @param expected The {@linkcode latentKey} that it must have
 * @param options How latents are sampled
 */
export async function latentPreparer(
  path: string,
  expected: string,
  options: LatentOptions,
): Promise<Preparer<LatentExample>> {
  const { get } = await openLatents(path, expected, options);
  return get;
}

/**
 * Encoded images from a file, which is made first if it is not there.
 *
 * @param path Where the file is or shall be
 * @param encoding What to encode, and how
 * @param options How latents are sampled
 */
export async function cachedLatents(
  path: string,
  encoding: EncodeOptions,
  options: LatentOptions = {},
): Promise<LatentSource> {
  if (await placeAt(path) === undefined) await encodeLatents(path, encoding);
  return await openLatents(path, await latentKey(encoding), options);
}

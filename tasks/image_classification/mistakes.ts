/**
 * What a classifier gets wrong, for people to look at: which classes it takes for which, and pictures that it is sure of and
 * wrong about.
 *
 * @module
 */
import { writeWhole } from "../../dsl/files/write.ts";
import type { Layer } from "../../dsl/layer.ts";
import type { Params } from "../../dsl/tree.ts";
import type { ImageInput } from "../../models/image_input.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { encodePng, type Pixels } from "../data/png.ts";
import { plain, row } from "../report/markdown_table.ts";
import { evaluationBatches } from "./evaluate.ts";
import type { EvaluationFeed } from "./feed.ts";
import type { LabelFit } from "./labels.ts";

/** Pictures of mistakes that are shown at most. */
const PICTURES = 12;

/** Classes whose whole table is shown; of more, the most frequent mistakes. */
const WHOLE_TABLE = 16;

/** Rows of the table of the most frequent mistakes. */
const ROWS = 20;

/** A picture that was taken for another class. */
interface Mistake {
  /** Its index in the data. */
  readonly index: number;
  /** Its class. */
  readonly label: number;
  /** What it was taken for. */
  readonly answer: number;
  /** How sure of that the model is, 0 to 1. */
  readonly probability: number;
  /** What the model saw of it, [C, H, W]. */
  readonly values: Float32Array;
}

/** The most probable class and its probability, of logits. */
function answerOf(logits: Float32Array): { readonly answer: number; readonly probability: number } {
  const answer = logits.reduce((best, logit, i) => logit > logits[best] ? i : best, 0);
  return { answer, probability: 1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[answer]), 0) };
}

/** A model's input as a picture: normalised values [C, H, W] back as bytes [H, W, C]. */
function pictureOf(values: Float32Array, { height, width, channels, mean, std }: ImageInput): Pixels {
  const area = height * width;
  const pixels = new Uint8Array(values.length);
  values.forEach((value, i) => {
    const channel = Math.floor(i / area);
    const share = value * std[channel] + mean[channel];
    pixels[(i % area) * channels + channel] = Math.round(255 * Math.min(Math.max(share, 0), 1));
  });
  return { pixels, height, width, channels };
}

/**
 * A page of what classes are taken for, in Markdown.
 *
 * @param classes Their names
 * @param counts [K, K] pictures: row the class, column the answer
 */
export function confusionPage(classes: readonly string[], counts: Float64Array): string {
  const size = classes.length;
  const seen = counts.reduce((sum, count) => sum + count, 0);
  const right = classes.reduce((sum, _, i) => sum + counts[i * size + i], 0);
  const intro = `Of ${seen} pictures held out of training ${right} were classified correctly.`;
  if (size <= WHOLE_TABLE) {
    const rows = classes.map((name, i) => row([plain(name), ...counts.subarray(i * size, (i + 1) * size)]));
    const rule = `| --- |${" ---: |".repeat(size)}`;
    return [`${intro} Rows: the class; columns: the answer.`, "", row(["", ...classes.map(plain)]), rule, ...rows, ""]
      .join("\n");
  }
  const wrong = Array.from(counts, (count, place) => [count, Math.floor(place / size), place % size] as const)
    .filter(([count, label, answer]) => count > 0 && label !== answer)
    .sort(([a], [b]) => b - a);
  const rows = wrong.slice(0, ROWS).map(([count, label, answer]) =>
    row([plain(classes[label]), plain(classes[answer]), count])
  );
  const most = wrong.length > ROWS ? ` The ${ROWS} most frequent of ${wrong.length} kinds of mistakes:` : "";
  return [`${intro}${most}`, "", row(["class", "answer", "pictures"]), "| --- | --- | ---: |", ...rows, ""].join("\n");
}

/**
 * Writes `confusion.md`, and the pictures that the model is surest of and wrong about: `mistake-N.png`.
 *
 * @param layer The model
 * @param params Its parameters
 * @param image What it expects of pixels
 * @param dataset Pictures held out, each of one class
 * @param feed How they are read, the classes, and how many pictures are classified: a fixed choice
 * @param folder Where to
 */
export async function showMistakes(
  layer: Layer,
  params: Params,
  image: ImageInput,
  dataset: ImageDataset,
  feed: EvaluationFeed & { readonly fit: LabelFit; readonly limit: number },
  folder: string,
): Promise<void> {
  const { classes } = feed.fit;
  const counts = new Float64Array(classes.length ** 2);
  let surest: readonly Mistake[] = [];
  for await (
    const { pixels, labels, indices, logits } of evaluationBatches(layer, params, image, dataset, feed.limit, feed)
  ) {
    const size = pixels.length / labels.length;
    const mistakes = Array.from(labels, (label, i): Mistake | undefined => {
      const found = answerOf(logits.subarray(i * classes.length, (i + 1) * classes.length));
      counts[label * classes.length + found.answer]++;
      if (found.answer === label) return undefined;
      return { ...found, index: indices[i], label, values: pixels.subarray(i * size, (i + 1) * size) };
    });
    surest = [...surest, ...mistakes.filter((each) => each !== undefined)]
      .sort((a, b) => b.probability - a.probability || a.index - b.index)
      .slice(0, PICTURES)
      // No batch is kept for one of its pictures.
      .map((each) => each.values.buffer === pixels.buffer ? { ...each, values: each.values.slice() } : each);
  }
  for (const [i, { index, label, answer, probability, values }] of surest.entries()) {
    const sure = `${(100 * probability).toFixed(0)} %`;
    const caption = `${classes[label]}, taken for ${classes[answer]} (${sure}), picture ${index} of the data`;
    await writeWhole(`${folder}/mistake-${i + 1}.txt`, `${caption}\n`);
    await writeWhole(`${folder}/mistake-${i + 1}.png`, await encodePng(pictureOf(values, image)));
  }
  await writeWhole(`${folder}/confusion.md`, confusionPage(classes, counts));
}

/**
 * Whether the pictures that a diffusion model samples of classes are what they should be: the share that an independent
 * classifier takes for the class that was asked for.
 *
 *     deno run -A scripts/tools/legible.ts DIT [ADAPTER|-] VIT [ADAPTER|-] [COUNT]
 *
 * Both are presets or folders, each with an adapter of a run on the same data, or none.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { apply, key, type Layer, useBackend } from "../../dsl/mod.ts";
import { openTrained } from "../../tasks/mod.ts";
import { evaluationTransform } from "../../tasks/data/augment.ts";
import { sampleClasses } from "../../tasks/generation/sample.ts";
import { imageGrid } from "../../tasks/generation/pictures.ts";
import { squareImages, transformOptions } from "../../tasks/image_classification/classifier.ts";

const [dit, ditAdapter = "-", vit = "vit-micro", vitAdapter = "-", count = "1000"] = Deno.args;
const adapterOf = (folder: string) => folder === "-" ? {} : { adapter: folder };
await useBackend("auto");
const generator = await openTrained(dit, { key: key(0), ...adapterOf(ditAdapter) });
const classifier = await openTrained(vit, { key: key(0), ...adapterOf(vitAdapter) });
const classes = generator.model.labels!;
const places = classes.map((label) => classifier.model.labels!.indexOf(label));
if (places.includes(-1)) throw new Error(`the classifier knows ${classifier.model.labels}, not ${classes}`);
const labels = Int32Array.from({ length: Number(count) }, (_, i) => i % classes.length);
const { values, shape: [, ...picture] } = await sampleClasses(generator, labels, 0, { samplingSteps: 25 });
const size = picture.reduce((product, each) => product * each, 1);
const { shape, apply: prepare } = evaluationTransform(transformOptions(squareImages(classifier.model)));
let right = 0;
for (let from = 0; from < labels.length; from += 100) {
  const some = labels.slice(from, from + 100);
  const pixels = Array.from(some, (label, i) => {
    const one = imageGrid(values.slice((from + i) * size, (from + i + 1) * size), [1, ...picture], { padding: 0 });
    return [...prepare({ ...one, label }, key(0))];
  });
  const logits = apply(classifier.layer as Layer, classifier.params)(tf.tensor(pixels.flat(), [some.length, ...shape]));
  (await tf.argMax(logits, -1).data()).forEach((seen, i) => right += seen === places[some[i]] ? 1 : 0);
}
console.log(
  `${right} of ${labels.length} pictures are seen as what they should be: ${
    (100 * right / labels.length).toFixed(1)
  } %`,
);
Deno.exit(0);

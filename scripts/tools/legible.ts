/**
 * Whether the pictures that a diffusion model samples of classes are what they should be: the share that an independent
 * classifier takes for the class that was asked for, and how often that classifier is right about real test images.
 *
 *     deno task train --data mnist --adapter all --steps 2000 --lr 1e-3 --out runs/classifier
 *     deno task train --task generation --out runs/digits
 *     deno run -A scripts/tools/legible.ts --adapter runs/digits/adapter --classifier-adapter runs/classifier/adapter
 *
 * @module
 */
import { fold, key, useBackend } from "../../dsl/mod.ts";
import { permutation } from "../../dsl/random.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { encodePng, imageGrid, openImageData, openTrained, type Pixels, sampleClasses } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { integer, main, number, text } from "../cli/mod.ts";
import { backendFlag } from "../cli/options.ts";

/** Rows of the picture of samples. */
const SHOWN = 8;

const flags = {
  model: text({ help: "Diffusion model", value: "NAME|DIR", default: "dit-micro" }),
  adapter: text({ help: "Its adapter", value: "DIR" }),
  classifier: text({ help: "Model that judges", value: "NAME|DIR", default: "vit-micro" }),
  classifierAdapter: text({ help: "Its adapter", value: "DIR" }),
  data: text({ help: "Data whose test images the classifier is tried on", default: "mnist" }),
  count: integer({ help: "Samples, and test images", min: 1, default: 1000 }),
  samplingSteps: integer({ help: "Steps of a sample (default: the recipe's)", min: 2 }),
  guidance: number({ help: "Scale of classifier-free guidance (default: the recipe's)", min: 0 }),
  seed: integer({ help: "Seed of the samples", min: 0, default: 0 }),
  output: text({ help: "Picture of the first samples, a column for each class", value: "FILE.png" }),
  ...backendFlag,
};

await main(
  { name: "legible", summary: "Counts sampled pictures that a classifier reads as what was asked for.", flags },
  attempt(async ({ options }) => {
    const { model, adapter, count, samplingSteps, guidance, seed, output, backend, threads } = options;
    await useBackend(backend, { threads });
    const generator = await openTrained(model, { key: key(0), adapter });
    const judge = await openTrained(options.classifier, { key: key(0), adapter: options.classifierAdapter });
    const task = requireTask(judge.model, `opening ${options.classifier}`);
    const { own } = task.recipe(options.classifier, "");
    const read = async ({ pixels: data, ...size }: Pixels): Promise<string> => {
      const [best] = await task.predict(judge, { data, ...size }, { own: own as object, seed: 0 }) as readonly {
        label: string;
      }[];
      return best.label;
    };

    const classes = generator.model.labels!;
    const strange = classes.filter((label) => !judge.model.labels!.includes(label));
    if (strange.length > 0) throw new Error(`the classifier knows ${judge.model.labels}, not ${strange}`);
    const labels = Int32Array.from({ length: count }, (_, i) => i % classes.length);
    const { values, shape } = await sampleClasses(generator, labels, seed, { samplingSteps, guidance });
    const size = values.length / count;
    const one = [1, ...shape.slice(1)];
    const right = classes.map(() => 0);
    for (const [i, label] of labels.entries()) {
      const picture = imageGrid(values.subarray(i * size, (i + 1) * size), one, { padding: 0 });
      if (await read(picture) === classes[label]) right[label]++;
    }

    const { test } = await openImageData(options.data);
    const tried = permutation(fold(key(seed), "tried"), test.size).subarray(0, count);
    let known = 0;
    for (const index of tried) {
      const { label, ...picture } = await test.get(index);
      if (await read(picture) === test.classes[label]) known++;
    }

    if (output !== undefined) {
      const shown = Math.min(count, SHOWN * classes.length);
      const grid = imageGrid(values.subarray(0, shown * size), [shown, ...shape.slice(1)], { columns: classes.length });
      await Deno.writeFile(output, await encodePng(grid));
    }
    const percent = (part: number, of: number) => `${(100 * part / of).toFixed(1)} %`;
    const total = right.reduce((sum, each) => sum + each, 0);
    const each = labels.reduce((counts, label) => counts.with(label, counts[label] + 1), classes.map(() => 0));
    console.log(classes.map((name, label) => `${name}: ${percent(right[label], each[label])}`).join("  "));
    console.log(`${total} of ${count} samples are read as what was asked for: ${percent(total, count)}`);
    console.log(`${known} of ${tried.length} test images are read as what they are: ${percent(known, tried.length)}`);
  }),
);

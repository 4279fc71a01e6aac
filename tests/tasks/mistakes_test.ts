import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { key, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { evaluateClassifier } from "../../tasks/image_classification/evaluate.ts";
import { squareImages } from "../../tasks/image_classification/feed.ts";
import { confusionPage, showMistakes } from "../../tasks/image_classification/mistakes.ts";

Deno.test("a page has the whole table of few classes, and the most frequent mistakes of many", () => {
  const few = confusionPage(["a", "b|c"], Float64Array.of(3, 1, 0, 2));
  assertEquals(few.split("\n"), [
    "Of 6 pictures held out of training 5 were classified correctly. Rows: the class; columns: the answer.",
    "",
    "|  | a | b\\|c |",
    "| --- | ---: | ---: |",
    "| a | 3 | 1 |",
    "| b\\|c | 0 | 2 |",
    "",
  ]);
  const classes = Array.from({ length: 30 }, (_, i) => `class ${i}`);
  const counts = new Float64Array(900);
  for (let i = 0; i < 25; i++) counts[i * 30 + i + 1] = 1 + i;
  counts[0] = 100;
  const lines = confusionPage(classes, counts).trimEnd().split("\n");
  assertStringIncludes(lines[0], "Of 425 pictures held out of training 100 were");
  assertStringIncludes(lines[0], "The 20 most frequent of 25 kinds of mistakes:");
  assertEquals([lines.length, lines[4], lines[23]], [24, "| class 24 | class 25 | 25 |", "| class 5 | class 6 | 6 |"]);
});

Deno.test("a run's folder shows what is taken for what, as evaluation counts it, and the pictures themselves", async () => {
  await useBackend("wasm");
  const model = await openModel("vit-micro");
  const { params } = await loadParams(model, key(0));
  const image = squareImages(model);
  const pixels = (index: number) => Uint8Array.from({ length: 28 * 28 }, (_, i) => (i * (index + 3)) % 251);
  const dataset: ImageDataset = {
    name: "stripes",
    classes: model.labels!,
    size: 30,
    get: (index) => ({
      pixels: pixels(index),
      height: 28,
      width: 28,
      channels: 1,
      label: index % model.labels!.length,
    }),
  };
  const folder = await Deno.makeTempDir();
  try {
    const fit = { classes: model.labels!, relabel: Int32Array.from(model.labels!, (_, i) => i), several: false };
    await showMistakes(model.layer, params, image, dataset, { fit, limit: 30 }, folder);
    const { confusion, accuracy } = await evaluateClassifier(model.layer, params, image, dataset, 30);
    const page = await Deno.readTextFile(`${folder}/confusion.md`);
    assertEquals(page, confusionPage(model.labels!, Float64Array.from(confusion.flat())));
    assert(accuracy < 0.6, "too few mistakes to look at");

    const files = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    assertEquals(files.filter((name) => name.endsWith(".png")).length, 12);
    const sharp = await loadSharp();
    const sure: number[] = [];
    for (let i = 1; i <= 12; i++) {
      const caption = await Deno.readTextFile(`${folder}/mistake-${i}.txt`);
      const [, label, share, index] = /^(.+), taken for .+ \((\d+) %\), picture (\d+) of the data\n$/.exec(caption)!;
      assertEquals(label, model.labels![Number(index) % model.labels!.length]);
      sure.push(Number(share));
      const { data, info } = await sharp(await Deno.readFile(`${folder}/mistake-${i}.png`)).raw({ depth: "uchar" })
        .toBuffer({
          resolveWithObject: true,
        });
      const grey = new Uint8Array(data).filter((_, at) => at % info.channels === 0);
      assertEquals(grey, pixels(Number(index)));
    }
    assertEquals(sure, sure.toSorted((a, b) => b - a));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Lists of pictures and their labels, and what is done with them: parts, bad rows, several labels, class weights. @module */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import { crossEntropy, useBackend } from "../../dsl/mod.ts";
import * as tf from "@tensorflow/tfjs-core";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { holdOutImages } from "../../tasks/data/validation.ts";
import { fineTune, ownImages } from "../../tasks/mod.ts";
import { sameLabels } from "../../tasks/image_classification/labels.ts";
import { classWeightsOf } from "../../tasks/image_classification/weights.ts";
import { withFolder } from "../support/data_folder.ts";
import { withoutLeaks } from "../support/compare.ts";
import { isWindows } from "../support/system.ts";

/** A grey picture (PGM) of one tone. */
const tone = (grey: number) => new TextEncoder().encode(`P2\n4 3\n255\n${Array(12).fill(grey).join(" ")}\n`);
const pictures = (count: number, folder = "pics") =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${folder}/${i}.pgm`, tone(10 * i)]));

const labels = (dataset: ImageDataset) => Array.from({ length: dataset.size }, (_, i) => dataset.labelOf!(i));
const tones = async (dataset: ImageDataset) =>
  await Promise.all(Array.from({ length: dataset.size }, async (_, i) => (await dataset.get(i)).pixels[0]));

Deno.test("a list in CSV: usual names of columns, quotes, parts, by name with or without images:", () =>
  withFolder({
    ...pictures(5),
    "list.csv": 'Image,split,Class,note\r\npics/0.pgm,train,"cat, tabby","a ""b""\nc"\r\npics/1.pgm,training,dog,\r\n' +
      "pics/2.pgm,test,dog,x\r\n\r\npics/3.pgm,val,dog,x\r\n",
  }, async (folder) => {
    const { train, test, notes, paths } = await openImageData(`images:${folder}/list.csv`);
    assertEquals(train.classes, ["cat, tabby", "dog"]);
    assertEquals([labels(train), labels(test)], [[0, 1], [1]]);
    assertEquals([await tones(train), await tones(test)], [[0, 10], [20]]);
    assertEquals(notes, [`left out of ${folder}/list.csv: 1 of the part val (line 7: pics/3.pgm)`]);
    assertEquals(paths?.[0], `${folder}/list.csv`);
    assertEquals((await openImageData(`${folder}/list.csv`)).train.classes, train.classes);
    const tree = await openImageData(folder);
    assertEquals([tree.train.classes, tree.paths], [["pics"], [folder]]);
  }));

Deno.test("names with Windows' backslashes are read anywhere, and names that have one of their own as they are", () =>
  withFolder({
    ...pictures(4),
    "list.csv": "image,split,label\npics\\0.pgm,train,dog\npics\\1.pgm,train,cat\npics\\2.pgm,test,cat\n",
    "tree/train/metadata.csv": "file_name,label\ndeep\\0.pgm,dog\ndeep\\1.pgm,cat\n",
    "tree/test/metadata.csv": "file_name,label\ndeep\\0.pgm,cat\n",
  }, async (folder) => {
    for (const [part, count] of [["train", 2], ["test", 1]] as const) {
      await Deno.mkdir(`${folder}/tree/${part}/deep`);
      for (let i = 0; i < count; i++) {
        await Deno.copyFile(`${folder}/pics/${i}.pgm`, `${folder}/tree/${part}/deep/${i}.pgm`);
      }
    }
    const { train, test } = await openImageData(`${folder}/list.csv`);
    assertEquals([await tones(train), await tones(test), labels(train)], [[0, 10], [20], [1, 0]]);
    const tree = await openImageData(`${folder}/tree`);
    assertEquals([labels(tree.train), labels(tree.test)], [[1, 0], [0]]);
    if (isWindows) return;
    await Deno.copyFile(`${folder}/pics/3.pgm`, `${folder}/pics\\0.pgm`);
    assertEquals(await tones((await openImageData(`${folder}/list.csv`)).train), [30, 10]);
  }));

Deno.test("blanks around labels count for nothing; parts that are not read are said", () => {
  const rows = [0, 1, 2, 3].map((i) => `pics/${i}.pgm, ${i % 2 ? "cat " : "dog"},${i > 1}`);
  return withFolder({
    ...pictures(4),
    "list.csv": ["file_name, label,extra", ...rows].join("\n"),
    "valid.csv": ["file_name,label,is_valid", ...rows].join("\n"),
    "pics/metadata.csv": ["file_name,label,is_valid", ...rows.map((row) => row.slice(5))].join("\n"),
  }, async (folder) => {
    const { train, test } = await openImageData(`${folder}/list.csv`);
    assertEquals([train.classes, labels(train), labels(test)], [["cat", "dog"], [1, 0], [0, 1]]);
    const { message } = await assertRejects(() => openImageData(`${folder}/valid.csv`), OneloraError);
    assertStringIncludes(message, 'found "is_valid", which is not read as parts; allowed: a column split with train');
    const tree = await openImageData(`${folder}/pics`);
    assertEquals(tree.train.classes, ["cat", "dog"]);
    const note = `${folder}/pics/metadata.csv: parts of "is_valid" are not read with a folder`;
    assert(tree.notes?.some((line) => line.startsWith(note)), tree.notes?.join());
  });
});

Deno.test("rows that cannot be used are named by their lines, or refused", () =>
  withFolder({
    ...pictures(30),
    "list.jsonl": [
      ...Array.from({ length: 24 }, (_, i) => ({ file_name: `pics/${i}.pgm`, label: i % 2 ? "odd" : "even" })),
      { file_name: "pics/absent.pgm", label: "odd" },
      { file_name: "pics/25.pgm" },
      { file_name: "", label: "odd" },
      { file_name: "pics/3.pgm", label: "even" },
      { file_name: "pics/26.pgm", label: null },
    ].map((row) => JSON.stringify(row)).join("\n"),
  }, async (folder) => {
    const path = `${folder}/list.jsonl`;
    const { train, test, notes } = await openImageData(path);
    assertEquals([train.size, test.size], [22, 2]);
    assertEquals(labels(test).sort(), [0, 1]);
    assertEquals([...notes!].sort(), [
      `left out of ${path}: 1 of a picture that has a row already (line 28: pics/3.pgm, line 4)`,
      `left out of ${path}: 1 whose file is not there (line 25: pics/absent.pgm)`,
      `left out of ${path}: 1 without a file (line 27: )`,
      `left out of ${path}: 2 without a label (line 26: pics/25.pgm, line 29: pics/26.pgm)`,
    ]);
    await assertRejects(() => openImageData(path, { strict: true }), OneloraError, "list.jsonl, line 26");
    // The same pictures are held out wherever the folder lies.
    const again = await openImageData(path);
    assertEquals(await tones(again.test), await tones(test));
  }));

Deno.test("columns are said where their names are not usual or more than one is", () =>
  withFolder({
    ...pictures(4),
    "odd.tsv": "photo\tbreed\tnumber\npics/0.pgm\tpug\t1\npics/1.pgm\tpug\t2\npics/2.pgm\tlab\t3\npics/3.pgm\tlab\t4\n",
    "two.csv": "file,label,class\npics/0.pgm,a,b\npics/1.pgm,a,b\n",
    "none.csv": "file,other\npics/0.pgm,a\n",
    "short.csv": "file,label\npics/0.pgm\n",
  }, async (folder) => {
    const { train } = await openImageData(`${folder}/odd.tsv`, { own: { columns: "file=photo,label=breed" } });
    assertEquals(train.classes, ["lab", "pug"]);
    const refused: readonly (readonly [file: string, columns: string | undefined, text: string])[] = [
      ["odd.tsv", undefined, '"photo", "breed", "number"; allowed: a file\'s'],
      ["odd.tsv", "file=photo", "labels (label, class"],
      ["odd.tsv", "file=foto", 'reading "foto"'],
      ["odd.tsv", "picture=photo", '"picture=photo"'],
      ["two.csv", undefined, '"label" and "class", of which each may be the label'],
      ["none.csv", undefined, "columns of 0 and 1"],
    ];
    for (const [file, columns, text] of refused) {
      const error = await assertRejects(() => openImageData(`${folder}/${file}`, { own: { columns } }), OneloraError);
      assertStringIncludes(error.message, text);
      assertEquals(error.exitCode, 2, text);
    }
    await assertRejects(() => openImageData(`${folder}/short.csv`), OneloraError, "short.csv, line 2");
    await assertRejects(() => openImageData("mnist", { own: { columns: "file=a" } }), OneloraError, "`columns`");
    await assertRejects(() => openImageData(`${folder}/pics/0.pgm`), OneloraError, "FILE.csv");
  }));

Deno.test("several labels a picture: lists, dividers, columns of 0 and 1", () =>
  withFolder({
    ...pictures(12),
    "tags.csv": "file,tags\n" + Array.from({ length: 12 }, (_, i) => `pics/${i}.pgm,${i % 2 ? "a|b" : "b"}`).join("\n"),
    "lists.json": JSON.stringify(
      Array.from({ length: 12 }, (_, i) => ({ path: `pics/${i}.pgm`, label: i === 0 ? [] : ["x", `${i % 2}`] })),
    ),
    "flags.csv": "file,cat,dog\n" + Array.from({ length: 12 }, (_, i) => `pics/${i}.pgm,${i % 2},1`).join("\n"),
  }, async (folder) => {
    for (
      const [file, classes] of [["tags.csv", ["a", "b"]], ["lists.json", ["0", "1", "x"]], ["flags.csv", [
        "cat",
        "dog",
      ]]]
    ) {
      const { train, test } = await openImageData(`${folder}/${file}`);
      assertEquals([train.classes, train.multiLabel, train.size, test.size], [classes as string[], true, 11, 1]);
    }
    const { train } = await openImageData(`${folder}/tags.csv`);
    const weights = await classWeightsOf("balanced", train, sameLabels(train));
    const having = Array.from({ length: 11 }, (_, i) => train.labelsOf!(i)).filter((all) => all.includes(0)).length;
    assertAlmostEquals(weights[0], (11 - having) / having, 1e-9);
    assertEquals(weights[1], 1);
  }));

Deno.test("class weights: balanced by the training pictures that are left, or from a file that names every class", () =>
  withFolder(
    { "weights.json": '{"a": 2, "b": 0.5}', "short.json": '{"a": 1}', "odd.json": '{"a": 1, "b": -1}' },
    async (folder) => {
      const image = { data: Uint8Array.of(0), width: 1, height: 1 };
      const examples = Array.from({ length: 20 }, (_, i) => ({ image, label: i < 4 ? "a" : "b" }));
      const data = ownImages(examples, examples.slice(0, 1), { seed: 0, onLine: () => {} });
      const fit = sameLabels(data.train);
      assertEquals(await classWeightsOf("balanced", data.train, fit), [20 / 8, 20 / 32]);
      const { training } = holdOutImages(data, 5);
      assertEquals(await classWeightsOf("balanced", training.train, fit), [15 / 6, 15 / 24]);
      assertEquals(await classWeightsOf(`${folder}/weights.json`, data.train, fit), [2, 0.5]);
      // The model's classes may be in another order, and more.
      const other = { classes: ["b", "x", "a"], relabel: Int32Array.of(2, 0), several: false };
      assertEquals(await classWeightsOf(`${folder}/weights.json`, data.train, other), [0.5, 1, 2]);
      for (const [file, text] of [["short.json", 'no weight of "b"'], ["odd.json", "positive numbers"]]) {
        await assertRejects(() => classWeightsOf(`${folder}/${file}`, data.train, fit), OneloraError, text);
      }
      await assertRejects(
        () => classWeightsOf("balanced", { ...data.train, labelOf: undefined, labelsOf: undefined }, fit),
        OneloraError,
        "known only as its pictures are read",
      );
    },
  ));

Deno.test("a list is trained on with weights, in parts as whole, and one picture of a rare class counts as many of another", () =>
  withFolder({
    ...pictures(12),
    "list.csv": "file,label,split\n" +
      Array.from({ length: 12 }, (_, i) => `pics/${i}.pgm,${i % 6 ? "many" : "few"},${i < 10 ? "train" : "test"}`).join(
        "\n",
      ),
  }, async (folder) => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const settings = {
        model: fileOf(new URL("../fixtures/vit-rgb", import.meta.url)),
        data: `${folder}/list.csv`,
        task: "image-classification",
        adapter: "head",
        backend: "wasm",
        steps: 2,
        batchSize: 10,
        lr: 0.01,
        weightDecay: 0,
        augment: false,
        shuffle: false,
        workers: 0,
      } as const;
      const losses: number[][] = [];
      for (const more of [{ classWeights: "balanced" }, { classWeights: "balanced", accumulate: 3, workers: 1 }, {}]) {
        const seen: number[] = [];
        using _tuned = await fineTune({ ...settings, ...more, onStep: ({ loss }) => void seen.push(loss) });
        losses.push(seen);
      }
      losses[0].forEach((loss, i) => assertAlmostEquals(losses[1][i], loss, 1e-5));
      assert(Math.abs(losses[0][0] - losses[2][0]) > 1e-4, `${losses}`);
    });
    assertEquals(
      crossEntropy(tf.tensor2d([[1, 0], [0, 0]]), tf.tensor1d([0, 1], "int32"), { classWeights: [1, 0] }).dataSync()[0],
      crossEntropy(tf.tensor2d([[1, 0]]), tf.tensor1d([0], "int32")).dataSync()[0],
    );
  }));

Deno.test("semicolons, which spreadsheets write, and tabs divide a CSV whose names have no comma between them", () => {
  const rows = Array.from({ length: 12 }, (_, i) => [`pics/${i}.pgm`, i % 2 ? "cat" : "dog, big"]);
  const list = (divider: string) => [["file", "label"], ...rows].map((row) => row.join(divider)).join("\r\n");
  return withFolder({ ...pictures(12), "a.csv": list(";"), "b.csv": list("\t") }, async (folder) => {
    for (const name of ["a.csv", "b.csv"]) {
      const { train, test } = await openImageData(`${folder}/${name}`);
      assertEquals(train.classes, ["cat", "dog, big"], name);
      assertEquals([train.size, test.size], [10, 2], name);
    }
  });
});

Deno.test("a path that leads nowhere is said to, a slip of a name is a name", async () => {
  const refusal = async (spec: string) => (await assertRejects(() => openImageData(spec), OneloraError)).message;
  for (const path of ["photos/labels.csv", "labels.jsonl", "./photos", "photos/cats/", "C:\\photos.csv"]) {
    assertStringIncludes(await refusal(path), `opening ${path}: found no such file or folder; allowed: mnist, `);
  }
  assertStringIncludes(await refusal("mnits"), 'choosing data set: found "mnits" (did you mean "mnist"?)');
  assertStringIncludes(await refusal("pictures"), 'choosing data set: found "pictures"; allowed: mnist, ');
});

Deno.test("pictures of one class are nothing to train a classifier on", () =>
  withFolder({ ...pictures(4, "pics/dog") }, async (folder) => {
    const { message } = await assertRejects(
      () => fineTune({ model: "vit-micro", data: `images:${folder}/pics`, steps: 1 }),
      OneloraError,
    );
    assertStringIncludes(message, "found one class (dog); allowed: two or more");
  }));

Deno.test("a method that does not exist is told before the data is opened", async () => {
  const { message } = await assertRejects(() => fineTune({ data: "images:/no/such", adapter: "1lroa" }), OneloraError);
  assertStringIncludes(message, 'found "1lroa" (did you mean "1lora"?)');
});

import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import { evaluationTransform } from "../../tasks/data/augment.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { batches } from "../../tasks/data/loader.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { withFolder } from "../support/data_folder.ts";

const fixtures = new URL("../fixtures/image-files/", import.meta.url);
const at = (name: string) => fileOf(new URL(name, fixtures));
const file = (name: string) => Deno.readFile(new URL(name, fixtures));

const all = (dataset: ImageDataset) =>
  Promise.all(Array.from({ length: dataset.size }, async (_, i) => await dataset.get(i)));

const labels = async (dataset: ImageDataset) => (await all(dataset)).map(({ label }) => label);

/** Runs a test on a folder that is a copy of a fixture, with changes. */
async function changed<T>(
  name: string,
  files: readonly string[],
  changes: Readonly<Record<string, Uint8Array | string | undefined>>,
  body: (folder: string) => Promise<T>,
): Promise<T> {
  const copies = await Promise.all(files.map(async (path) => [path, await file(`${name}/${path}`)] as const));
  return await withFolder({ ...Object.fromEntries(copies), ...changes }, body);
}

/** An error of one line. */
async function refused(action: () => Promise<unknown>, found: string): Promise<void> {
  const error = await assertRejects(action, OneloraError, found);
  assert(error instanceof Error && !error.message.includes("\n"), String(error));
}

/** Record n of the fixture's archives, planes interleaved. */
const cifarPixels = (n: number) =>
  Uint8Array.from({ length: 3072 }, (_, i) => (50 * (i % 3) + Math.trunc(i / 3) + 7 * n) % 256);

/** Picture n of the fixtures. */
const picture = (n: number) =>
  Uint8Array.from({ length: 144 }, (_, i) => {
    const [y, x] = [Math.trunc(i / 24), Math.trunc(i / 3) % 8];
    return [20 * y + n, 30 * x, 100 + n][i % 3];
  });

Deno.test("CIFAR-10's archive as it is published: batches in order of number, names, pixels", async () => {
  const { train, test } = await openImageData(`cifar10:${at("cifar-10-binary.tar.gz")}`);
  assertEquals([train.size, test.size, train.classes[9], train.name], [10, 1, "class 9", "cifar10/train"]);
  assertEquals(await labels(train), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assertEquals(await train.get(4), { pixels: cifarPixels(6), height: 32, width: 32, channels: 3, label: 4 });
  assertEquals((await test.get(0)).label, 9);
});

Deno.test("CIFAR-100's archive as it is published: fine labels and their names", async () => {
  const { train, test } = await openImageData(`cifar100:${at("cifar-100-binary.tar.gz")}`);
  assertEquals([train.classes.length, train.classes[42]], [100, "fine 42"]);
  assertEquals([await labels(train), await labels(test)], [[99, 0], [42]]);
  assertEquals((await train.get(1)).pixels, cifarPixels(2));
});

Deno.test("CIFAR archives: every truncation, other archives and what is none are refused in one line", async () => {
  const archive = await file("cifar-10-binary.tar.gz");
  const opened = (bytes: Uint8Array | string) =>
    withFolder({ "x.tar.gz": bytes }, (folder) => openImageData(`cifar10:${folder}/x.tar.gz`));
  // The last bytes are the check sum of zeros that tar pads with: what is read before them is whole.
  for (let length = 0; length < archive.length - 8; length += 13) {
    await refused(() => opened(archive.subarray(0, length)), "x.tar.gz: found");
  }
  for (const place of [40, 300, 700]) await refused(() => opened(archive.with(place, archive[place] ^ 255)), "found");
  await refused(() => opened("no archive at all"), "allowed: an intact .tar.gz or .tar archive");
  await refused(() => opened(new Uint8Array(2048).fill(7)), "x.tar.gz: found");
  const hundred = await file("cifar-100-binary.tar.gz");
  await refused(() => opened(hundred), "found 0 training files and no test_batch.bin; allowed: the binary version");
  await refused(() => openImageData("cifar10:/no/such.tar.gz"), "listing /no/such.tar.gz");
});

const foodFiles = [
  ...["apple_pie/7", "apple_pie/1005649", "baby_back_ribs/2", "baby_back_ribs/11"].map((id) => `images/${id}.jpg`),
  ...["classes", "train", "test"].map((name) => `meta/${name}.txt`),
];

Deno.test("Food-101: the lists' order, classes.txt's labels, the folder or the one that holds it", async () => {
  for (const folder of [at("food-101"), at(".")]) {
    const { train, test } = await openImageData(`food101:${folder}`);
    assertEquals(train.classes, ["apple_pie", "baby_back_ribs"]);
    assertEquals([await labels(train), await labels(test)], [[1, 0, 0], [1]]);
    for (const [i, { pixels, height, width, channels }] of (await all(train)).entries()) {
      assertEquals([height, width, channels], [6, 8, 3]);
      const expected = picture(10 * i);
      // JPEG is not exact.
      pixels.forEach((value, k) => assert(Math.abs(value - expected[k]) < 8, `${value} for ${expected[k]}`));
    }
  }
});

Deno.test("Food-101: wrong lists are refused by line, an archive by name, a missing image when it is read", async () => {
  const opened = (changes: Record<string, string | undefined>) =>
    changed("food-101", foodFiles, changes, (folder) => openImageData(`food101:${folder}`));
  for (const line of ["apple_pie", "apple_pie/", "apple_pie/../../x", "pizza/1", "apple_pie/a/b", "../apple_pie/1"]) {
    await refused(() => opened({ "meta/train.txt": `apple_pie/7\n${line}\n` }), "meta/train.txt, line 2: found");
  }
  await refused(() => opened({ "meta/test.txt": "" }), "meta/test.txt: found no line");
  await refused(() => opened({ "meta/classes.txt": "apple_pie\napple_pie\n" }), "classes.txt: found a name twice");
  await refused(() => opened({ "meta/classes.txt": "..\n" }), "classes.txt: found a name twice, or one that is no");
  await withFolder({ "food-101.tar.gz": "" }, async (folder) => {
    await refused(
      () => openImageData(`food101:${folder}/food-101.tar.gz`),
      "the folder that food-101.tar.gz unpacks to",
    );
    await refused(() => openImageData(`food101:${folder}`), "meta/classes.txt: found");
  });
  await changed("food-101", foodFiles, { "images/apple_pie/7.jpg": "noise" }, async (folder) => {
    await Deno.remove(`${folder}/images/apple_pie/1005649.jpg`);
    const { train } = await openImageData(`food101:${folder}`);
    await refused(async () => await train.get(1), "apple_pie/1005649.jpg: found");
    await refused(async () => await train.get(2), "apple_pie/7.jpg: found");
  });
});

Deno.test("Parquet as `datasets` writes it: shards in order, row groups, names from the footer", async () => {
  const { train, test } = await openImageData(`parquet:${at("hub")}`);
  assertEquals([train.size, test.size, train.classes], [8, 2, ["cat", "dog", "emu"]]);
  for (const [n, example] of (await all(train)).entries()) {
    assertEquals(example, { pixels: picture(n), height: 6, width: 8, channels: 3, label: n % 3 });
  }
  assertEquals((await all(test)).map(({ pixels }) => pixels[0]), [8, 9]);
  assertEquals(await all((await openImageData(`parquet:${at("hub/data")}`)).train), await all(train));
});

Deno.test("Parquet with lists of classes: any number of labels a picture", async () => {
  const { train, test } = await openImageData(`parquet:${at("several")}`);
  assertEquals([train.size, test.size, train.classes, train.multiLabel], [6, 2, ["cat", "dog", "emu"], true]);
  const labels = (await all(train)).map((example) => example.labels);
  assertEquals(labels, [[], [0], [1], [0, 1], [2], [0, 2]]);
  assertEquals((await train.get(0)).label, -1);
});

Deno.test("Parquet with a card: names from README.md, fine labels, zstd, single pages, a folder of its own", async () => {
  const { train, test } = await openImageData(`parquet:${at("card")}`);
  assertEquals([train.classes, test.size], [["cat", "dog", "emu"], 2]);
  for (const index of [5, 0, 3, 3, 1, 2, 4]) {
    const { pixels, label } = await train.get(index);
    assertEquals([pixels, label], [picture(index), index % 3]);
  }
  const files = ["tiny/train-00000-of-00001.parquet", "tiny/test-00000-of-00001.parquet"];
  for (const card of [undefined, "no card", "---\n{[\n---\n", "---\ndataset_info: 7\n---\n"]) {
    await changed("card", files, { "README.md": card }, async (folder) => {
      assertEquals((await openImageData(`parquet:${folder}`)).train.classes, ["0", "1", "2"]);
    });
  }
});

Deno.test("Parquet rows that cannot be used name themselves; batching leaves them out with a total, or fails if strict", async () => {
  const { train } = await openImageData(`parquet:${at("faults")}`);
  assertEquals(train.classes, ["0", "1"]);
  const transform = evaluationTransform({ size: 4, channels: 3, mean: [0, 0, 0], std: [1, 1, 1] });
  const [told, totals]: [string[], string[]] = [[], []];
  const options = { dataset: train, transform, batchSize: 7, seed: 0, shuffle: false, workers: 0 };
  const listening = { onSkip: (line: string) => told.push(line), onTotal: (line: string) => totals.push(line) };
  const [batch] = await Array.fromAsync(batches({ ...options, ...listening }));
  assertEquals([...batch.indices], [0, 6]);
  const lines = ["row 1", "row 2", "row 3", "row 4", "row 5"];
  assertEquals(told.map((line) => line.match(/row \d/)?.[0]), lines);
  assertEquals(told.map((line) => line.match(/found (no bytes|label [-\w]+)/)?.[1]), [
    "no bytes",
    undefined,
    undefined,
    "label -1",
    "label null",
  ]);
  assertEquals(totals, ["5 of 7 examples of parquet/train left out in epoch 1"]);
  await refused(() => batches({ ...options, strict: true }).next(), "row 1");
});

Deno.test("Parquet folders that cannot be used are refused in one line", async () => {
  const [good, other] = await Promise.all([file("faults/train.parquet"), file("faults/other-columns.parquet")]);
  const opened = (files: Record<string, Uint8Array | string>) =>
    withFolder(files, (folder) => openImageData(`parquet:${folder}`));
  await refused(() => opened({}), "found no train-*.parquet");
  await refused(() => opened({ "train.parquet": good }), "found train alone");
  await refused(() => opened({ "a/train.parquet": good, "b/train.parquet": good }), "found several data sets");
  await refused(() => opened({ "train.parquet": other, "test.parquet": other }), "found columns picture, kind");
  await refused(() => opened({ "train.parquet": good, "test.parquet": other }), "allowed: image and label, as in");
  await refused(() => opened({ "train.parquet": "PAR1", "test.parquet": good }), "train.parquet: found");
});

Deno.test("Parquet files that the card says are another part than their names say are refused", async () => {
  const files = ["tiny/train-00000-of-00001.parquet", "tiny/test-00000-of-00001.parquet"];
  const card = (train: string, test: string) =>
    `---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: ${train}\n  - split: test\n    path: ${test}\n---\n`;
  const opened = (readme: string) =>
    changed("card", files, { "README.md": readme }, (folder) => openImageData(`parquet:${folder}`));
  for (const [train, test] of [["tiny/train-*", "tiny/test-*"], ["**/train*", "[tiny/test-*]"], ["elsewhere/*", "x"]]) {
    assertEquals((await opened(card(train, test))).test.size, 2);
  }
  const swapped = "train-00000-of-00001.parquet as train: found README.md, by which it is test";
  await refused(() => opened(card("tiny/test-*", "tiny/train-*")), swapped);
  await refused(() => opened(card("tiny/test-00000-of-00001.parquet", '["a", "**/train-0000?-*"]')), swapped);
});

Deno.test("a folder that holds pictures in other files says how it is opened", async () => {
  const hints: readonly (readonly [string, string])[] = [
    ["data/train-0.parquet", "allowed: parquet:"],
    ["data-00000-of-00001.arrow", "Dataset.to_parquet"],
    ["train-000.tar", "unpacked"],
    ["pictures.zip", "unpacked"],
    ["notes.txt", "a folder a class"],
  ];
  for (const [name, hint] of hints) {
    await withFolder({ [name]: "x" }, (folder) => refused(() => openImageData(folder), hint));
  }
});

Deno.test("Parquet files that were cut or changed are refused, or rows of them, never worse", async () => {
  const good = await file("hub/data/validation-00000-of-00001.parquet");
  const tried = async (bytes: Uint8Array) =>
    await withFolder({ "train.parquet": bytes, "test.parquet": good }, async (folder) => {
      const { train } = await openImageData(`parquet:${folder}`);
      for (let i = 0; i < Math.min(train.size, 4); i++) await train.get(i);
    });
  await tried(good);
  for (let length = 0; length < good.length; length += 31) await refused(() => tried(good.subarray(0, length)), "");
  for (let place = 0; place < good.length; place += 29) {
    await tried(good.with(place, good[place] ^ 0x55)).catch((error) => {
      assert(error instanceof OneloraError && !error.message.includes("\n"), `${place}: ${error}`);
    });
  }
});

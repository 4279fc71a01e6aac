import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { openCifar } from "../../tasks/data/cifar.ts";
import { openFashionMnist, openMnist } from "../../tasks/data/mnist.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { parseIdx } from "../../tasks/data/idx.ts";
import { withFolder } from "../support/data_folder.ts";

const idx = (shape: readonly number[], values: ArrayLike<number>, magic = [0, 0, 8, shape.length]) =>
  Uint8Array.from([
    ...magic,
    ...shape.flatMap((size) => [size >>> 24, (size >>> 16) & 255, (size >>> 8) & 255, size & 255]),
    ...Array.from(values),
  ]);

const ramp = (count: number, from = 0) => Array.from({ length: count }, (_, i) => (from + i) % 256);

Deno.test("IDX: shape and values are read, from a view too", () => {
  const file = idx([2, 3, 2], ramp(12));
  const padded = Uint8Array.from([9, 9, 9, ...file]).subarray(3);
  for (const bytes of [file, padded]) {
    const { shape, data } = parseIdx(bytes, 3, "images");
    assertEquals(shape, [2, 3, 2]);
    assertEquals([...data], ramp(12));
  }
});

Deno.test("IDX: every wrong header field and length is refused by name", () => {
  const refused: readonly (readonly [Uint8Array, string])[] = [
    [new Uint8Array(), "0 bytes"],
    [idx([2], [1, 2]).subarray(0, 7), "7 bytes"],
    [idx([2], [1, 2], [1, 0, 8, 1]), "magic 01 00 08 01"],
    [idx([2], [1, 2], [0x1f, 0x8b, 8, 1]), "magic 1f 8b 08 01"],
    [idx([2], [1, 2], [0, 0, 0x0d, 1]), "type 0d"],
    [idx([2], [1, 2], [0, 0, 8, 3]), "3 dimensions"],
    [idx([3], [1, 2]), "2 bytes after the header"],
    [idx([1], [1, 2]), "allowed: 1, as [1] says"],
    [idx([0xffffffff], [1, 2]), "allowed: 4294967295"],
  ];
  for (const [bytes, found] of refused) {
    const error = assertThrows(() => parseIdx(bytes, 1, "labels.idx"), OneloraError, found);
    assert(error.message.startsWith("reading labels.idx: "));
  }
  // A product beyond 2^64 must not wrap round to the true length.
  assertThrows(() => parseIdx(idx([0x80000000, 0x80000000, 4], []), 3, "images"), OneloraError, "0 bytes after");
});

Deno.test("every truncation of an IDX file is refused", () => {
  const file = idx([2, 2, 2], ramp(8));
  for (let length = 0; length < file.length; length++) {
    assertThrows(() => parseIdx(file.subarray(0, length), 3, "images"), OneloraError);
  }
});

const mnistFiles = {
  "train-images-idx3-ubyte": idx([3, 2, 2], ramp(12)),
  "train-labels-idx1-ubyte": idx([3], [7, 0, 9]),
  "t10k-images-idx3-ubyte": idx([1, 2, 2], [5, 6, 7, 8]),
  "t10k-labels-idx1-ubyte": idx([1], [4]),
};

Deno.test("MNIST: four IDX files become two data sets", () =>
  withFolder(mnistFiles, async (folder) => {
    const { train, test } = await openMnist(new URL(`file://${folder}/`));
    assertEquals([train.size, test.size, train.classes.length], [3, 1, 10]);
    assertEquals(await train.get(1), { pixels: Uint8Array.of(4, 5, 6, 7), height: 2, width: 2, channels: 1, label: 0 });
    assertEquals((await test.get(0)).label, 4);
    for (const index of [-1, 3, 0.5]) assertThrows(() => train.get(index), OneloraError, "allowed: 0 to 2");
  }));

Deno.test("MNIST: missing files, wrong labels and labels that do not match the images are refused", async () => {
  const opened = (files: Record<string, Uint8Array>) =>
    withFolder(files, (folder) => openMnist(new URL(`file://${folder}/`)));
  const { "t10k-labels-idx1-ubyte": _, ...three } = mnistFiles;
  await assertRejects(() => opened(three), OneloraError, "a readable file");
  const wrong = { ...mnistFiles, "train-labels-idx1-ubyte": idx([3], [7, 10, 9]) };
  await assertRejects(() => opened(wrong), OneloraError, "label 10 at index 1");
  const few = { ...mnistFiles, "train-labels-idx1-ubyte": idx([2], [7, 1]) };
  await assertRejects(() => opened(few), OneloraError, "2 labels; allowed: 3");
  const cut = { ...mnistFiles, "train-images-idx3-ubyte": mnistFiles["train-images-idx3-ubyte"].subarray(0, 20) };
  await assertRejects(() => opened(cut), OneloraError, "train-images-idx3-ubyte: found 4 bytes");
});

Deno.test("Fashion-MNIST: the first images of a class are for testing, classes alternate, empty rows are dropped", async () => {
  const cloth = (label: number, i: number) => Array.from({ length: 784 }, () => label * 10 + i);
  const files = Object.fromEntries(
    ramp(10).map((label) => [
      `${label}.json`,
      JSON.stringify({ data: [cloth(label, 0), ...(label === 0 ? [[]] : []), cloth(label, 1), cloth(label, 2)] }),
    ]),
  );
  const opened = (changes: Record<string, string>) =>
    withFolder({ ...files, ...changes }, (folder) => openFashionMnist(new URL(`file://${folder}/`), 1));
  const { train, test } = await opened({});
  assertEquals([train.size, test.size, train.classes[9]], [20, 10, "Ankle boot"]);
  const value = async (part: typeof train, index: number) => {
    const { pixels, label } = await part.get(index);
    assertEquals(pixels.length, 784);
    return [pixels[0], pixels[783], label];
  };
  assertEquals(await value(test, 0), [0, 0, 0]);
  assertEquals(await value(test, 9), [90, 90, 9]);
  assertEquals(await value(train, 0), [1, 1, 0]);
  assertEquals(await value(train, 13), [32, 32, 3]);
  await assertRejects(() => opened({ "4.json": "{" }), OneloraError, "not JSON");
  await assertRejects(() => opened({ "4.json": "null" }), OneloraError, "no list of images");
  await assertRejects(() => opened({ "4.json": `{"data": [[1, 2]]}` }), OneloraError, "another size at index 0");
  await assertRejects(() => opened({ "4.json": `{"data": [7]}` }), OneloraError, "another size at index 0");
  const bright = JSON.stringify({ data: [cloth(4, 0), cloth(4, 216), cloth(4, 2)] });
  await assertRejects(() => opened({ "4.json": bright }), OneloraError, "256 in image 1");
  const short = JSON.stringify({ data: [cloth(4, 0), cloth(4, 1)] });
  await assertRejects(() => opened({ "4.json": short }), OneloraError, "3 images of class 0 and 2 of class 4");
});

/** A CIFAR record: labels, then planes in which channel c of pixel i is (c * 50 + i) mod 256. */
const record = (...labels: number[]) => [...labels, ...[0, 50, 100].flatMap((from) => ramp(1024, from))];
const names = (count: number) => ramp(count).map((i) => `name ${i}`).join("\n") + "\n\n";

const cifar10Files = {
  "data_batch_2.bin": Uint8Array.from(record(2)),
  "data_batch_10.bin": Uint8Array.from(record(3)),
  "data_batch_1.bin": Uint8Array.from([...record(0), ...record(1)]),
  "test_batch.bin": Uint8Array.from(record(9)),
  "batches.meta.txt": names(10),
};

Deno.test("CIFAR-10: batches in order, planes become interleaved colours, names are read", () =>
  withFolder(cifar10Files, async (folder) => {
    const { train, test } = await openCifar("cifar10", folder);
    assertEquals([train.size, test.size, train.classes[9]], [4, 1, "name 9"]);
    assertEquals(await Promise.all([0, 1, 2, 3].map(async (i) => (await train.get(i)).label)), [0, 1, 2, 3]);
    const { pixels, ...rest } = await train.get(2);
    assertEquals(rest, { height: 32, width: 32, channels: 3, label: 2 });
    assertEquals([...pixels.subarray(0, 6)], [0, 50, 100, 1, 51, 101]);
    assertEquals([...pixels.subarray(-3)], [1023 % 256, 1073 % 256, 1123 % 256]);
    assertEquals((await test.get(0)).label, 9);
  }));

Deno.test("CIFAR-100: fine labels, and the folder may be inside the one named", () =>
  withFolder({
    "cifar-100-binary/train.bin": Uint8Array.from([...record(1, 99), ...record(19, 0)]),
    "cifar-100-binary/test.bin": Uint8Array.from(record(255, 42)),
    "cifar-100-binary/fine_label_names.txt": names(100),
  }, async (folder) => {
    const { train, test } = await openImageData(`cifar100:${folder}/`);
    assertEquals([train.size, test.size, train.classes.length], [2, 1, 100]);
    assertEquals([(await train.get(0)).label, (await train.get(1)).label, (await test.get(0)).label], [99, 0, 42]);
    assertEquals([...(await train.get(1)).pixels.subarray(0, 3)], [0, 50, 100]);
  }));

Deno.test("CIFAR: truncated files, wrong labels, wrong names and missing files are refused", async () => {
  const opened = (changes: Record<string, Uint8Array | string | undefined>) =>
    withFolder({ ...cifar10Files, ...changes }, (folder) => openCifar("cifar10", folder));
  const cut = Uint8Array.from(record(1)).subarray(0, 3000);
  await assertRejects(() => opened({ "data_batch_2.bin": cut }), OneloraError, "data_batch_2.bin: found 3000 bytes");
  await assertRejects(() => opened({ "test_batch.bin": new Uint8Array() }), OneloraError, "found 0 bytes");
  const wrong = Uint8Array.from([...record(1), ...record(10)]);
  await assertRejects(() => opened({ "data_batch_2.bin": wrong }), OneloraError, "label 10 in record 1");
  await assertRejects(
    () => opened({ "test_batch.bin": undefined }),
    OneloraError,
    "3 training files and no test_batch.bin",
  );
  await assertRejects(() => opened({ "batches.meta.txt": names(9) }), OneloraError, "9 class names");
  const unnamed = await opened({ "batches.meta.txt": undefined });
  assertEquals(unnamed.train.classes[3], "3");
  await assertRejects(() => openCifar("cifar10", "/no/such/folder"), OneloraError, "listing /no/such/folder");
});

Deno.test("an unknown or incomplete specification is wrong usage, with the forms that exist", async () => {
  const refused: readonly (readonly [string, string])[] = [
    ["mnits", `did you mean "mnist"?`],
    ["cifr10:/data", `did you mean "cifar10:DIR"?`],
    ["imagenet", "fashion-mnist-turned, cifar10:DIR, cifar100:DIR, food101:DIR, images:DIR, parquet:DIR, cifar10:FILE"],
    ["parkuet:/data", `did you mean "parquet:DIR"?`],
    ["", "allowed: mnist"],
    ["toString", "allowed: mnist"],
    ["mnist:/data", "allowed: mnist, without a folder"],
    ["cifar10", "allowed: cifar10:DIR"],
    ["images:", "allowed: images:DIR"],
  ];
  for (const [spec, allowed] of refused) {
    const error = await assertRejects(() => openImageData(spec), OneloraError, allowed);
    assert(error instanceof OneloraError);
    assertEquals(error.exitCode, 2);
  }
});

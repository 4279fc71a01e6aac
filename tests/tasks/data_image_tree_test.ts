import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { evaluationTransform } from "../../tasks/data/augment.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { openImageTree } from "../../tasks/data/image_tree.ts";
import { batches } from "../../tasks/data/loader.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { inFolder, withFolder } from "../support/data_folder.ts";
import { picture, red, sharp } from "../support/pictures.ts";
import { isWindows, tellsCase } from "../support/system.ts";

const jpeg = await picture({ r: 0, g: 90, b: 250 }, "jpeg");
const glass = await picture({ r: 10, g: 20, b: 30, alpha: 0.2 });
const grey = new Uint8Array(
  await sharp(new Uint8Array(24).fill(77), { raw: { width: 6, height: 4, channels: 1 } }).png().toBuffer(),
);

const labels = async (dataset: ImageDataset) =>
  await Promise.all(Array.from({ length: dataset.size }, async (_, i) => (await dataset.get(i)).label));

Deno.test("an image tree with parts: sorted classes, nested and upper-case files, other files ignored", () =>
  withFolder({
    "train/zebra/b.PNG": red,
    "train/zebra/a.jpg": jpeg,
    "train/zebra/notes.txt": "stripes",
    "train/ant/deep/er/c.png": grey,
    "train/.cache/x.png": red,
    "train/README.md": "not a class",
    "val/zebra/a.png": glass,
  }, async (folder) => {
    const { train, test } = await openImageData(`images:${folder}`);
    assertEquals(train.classes, ["ant", "zebra"]);
    assertEquals(await labels(train), [0, 1, 1]);
    assertEquals(await labels(test), [1]);
    const first = await train.get(0);
    assertEquals([first.height, first.width, first.channels], [4, 6, 3]);
    assertEquals([...new Set(first.pixels)], [77]);
    const [r, g, b] = (await train.get(1)).pixels;
    assert(Math.abs(r - 0) < 6 && Math.abs(g - 90) < 6 && Math.abs(b - 250) < 6, `${r} ${g} ${b}`);
    assertEquals([...(await train.get(2)).pixels.subarray(0, 3)], [200, 10, 20]);
    assertEquals([...(await test.get(0)).pixels.subarray(0, 3)], [10, 20, 30]);
    assertEquals(await train.get(2), await train.get(2));
  }));

const flat = (copies: number) =>
  Object.fromEntries(
    ["cat", "dog"].flatMap((name) =>
      Array.from({ length: copies }, (_, i): [string, Uint8Array] => [`${name}/${i}.png`, i % 2 === 0 ? red : grey])
    ),
  );

Deno.test("an image tree without parts: a tenth of each class is for testing, wherever the folder lies", async () => {
  const opened = async (files: Record<string, Uint8Array>) =>
    await withFolder(files, async (folder) => {
      const { train, test } = await openImageTree(folder);
      const bytes = async (part: ImageDataset) =>
        await Promise.all(Array.from({ length: part.size }, async (_, i) => (await part.get(i)).pixels[0]));
      return [await labels(train), await bytes(train), await labels(test), await bytes(test)];
    });
  const twenty = await opened(flat(20));
  assertEquals(twenty[0], [...Array(18).fill(0), ...Array(18).fill(1)]);
  assertEquals(twenty[2], [0, 0, 1, 1]);
  assertEquals(await opened(Object.fromEntries(Object.entries(flat(20)).reverse())), twenty);
  assertEquals((await opened(flat(3)))[2], [0, 1]);
  assertEquals((await opened({ ...flat(2), "emu/only.png": red }))[0], [0, 1, 2]);
});

Deno.test("an image tree follows links to class folders and files", () =>
  withFolder({ "store/pets/1.png": red, "store/2.png": grey, "tree/train/dog/1.png": red }, async (folder) => {
    await Deno.symlink(`${folder}/store/pets`, `${folder}/tree/train/cat`);
    await Deno.symlink(`${folder}/store/2.png`, `${folder}/tree/train/dog/2.png`);
    await Deno.symlink(`${folder}/tree/train`, `${folder}/tree/test`);
    const { train, test } = await openImageTree(`${folder}/tree`);
    assertEquals(await labels(train), [0, 1, 1]);
    assertEquals(await labels(test), [0, 1, 1]);
    await Deno.symlink(`${folder}/nowhere`, `${folder}/tree/train/dog/3.png`);
    await assertRejects(() => openImageTree(`${folder}/tree`), OneloraError, "dangling links");
  }));

Deno.test("a folder around the class folders is no class", () =>
  inFolder(async (folder) => {
    for (const name of ["cat", "dog"]) {
      await Deno.mkdir(`${folder}/pets/${name}`, { recursive: true });
      await Deno.writeFile(`${folder}/pets/${name}/1.png`, new Uint8Array(1));
    }
    const { message } = await assertRejects(() => openImageTree(folder), OneloraError);
    assertStringIncludes(
      message,
      "found one, pets, whose pictures all lie in folders of their own: cat, dog; allowed:",
    );
    assertStringIncludes(message, `images:${folder}/pets`);
    assertEquals((await openImageTree(`${folder}/pets`)).train.classes, ["cat", "dog"]);
  }));

Deno.test("image trees that cannot be used are refused with the folder's name", async () => {
  const opened = (files: Record<string, Uint8Array | string>) => withFolder(files, openImageTree);
  await assertRejects(() => opened({}), OneloraError, "found none");
  await assertRejects(() => opened({ "loose.png": red }), OneloraError, "found none");
  await assertRejects(() => opened({ ...flat(2), "owl/readme.txt": "" }), OneloraError, "no image in owl");
  await assertRejects(() => opened({ "train/cat/1.png": red }), OneloraError, "train alone");
  const extra = { "train/cat/1.png": red, "test/cat/1.png": red, "test/dog/1.png": red };
  await assertRejects(() => opened(extra), OneloraError, "class dog; allowed: the classes of");
  const empty = { "train/cat/1.png": red, "test/cat/notes.txt": "" };
  await assertRejects(() => opened(empty), OneloraError, "no image in cat");
  await assertRejects(() => openImageTree("/no/such/folder"), OneloraError, "listing /no/such/folder: found no such");
  await withFolder({ "file.bin": "x", "pets.zip": "x" }, async (folder) => {
    await assertRejects(() => openImageTree(`${folder}/file.bin`), OneloraError, "file.bin: found a file; allowed:");
    await assertRejects(
      () => openImageTree(`${folder}/pets.zip`),
      OneloraError,
      "an archive; allowed: the folder that",
    );
  });
});

Deno.test("class folders of a picture each are refused where they are data: none can be judged by", () =>
  withFolder({ "cat/1.png": red, "dog/1.png": red }, async (folder) => {
    for (const spec of [folder, `images:${folder}`]) {
      await assertRejects(() => openImageData(spec), OneloraError, "no class with two pictures");
    }
  }));

Deno.test("corrupt images name their file; batching leaves them out, or fails if strict", () =>
  withFolder({
    "train/cat/1.jpg": jpeg.subarray(0, jpeg.length - 20),
    "train/cat/2.jpg": jpeg,
    "train/cat/3.jpg": "not an image",
    "train/cat/4.png": red.subarray(0, red.length - 20),
    "train/cat/5.jpg": new Uint8Array(),
    "test/cat/1.jpg": jpeg,
  }, async (folder) => {
    const { train } = await openImageTree(folder);
    for (const index of [0, 2, 3, 4]) {
      const error = await assertRejects(async () => await train.get(index), OneloraError, "train/cat/");
      assert(!error.message.includes("\n"));
    }
    const transform = evaluationTransform({ size: 4, channels: 3, mean: [0, 0, 0], std: [1, 1, 1] });
    const told: string[] = [];
    const options = { dataset: train, transform, batchSize: 5, seed: 0, shuffle: false };
    for await (const { indices, shape } of batches({ ...options, onSkip: (line) => told.push(line) })) {
      assertEquals([[...indices], shape], [[1], [1, 3, 4, 4]]);
    }
    assertEquals(told.map((line) => line.match(/\d\.(jpg|png)/)?.[0]), ["1.jpg", "3.jpg", "4.png", "5.jpg"]);
    await assertRejects(() => batches({ ...options, strict: true }).next(), OneloraError, "train/cat/1.jpg");
  }));

const tree = (parts: readonly string[], names: readonly string[] = ["cat", "dog"]) =>
  Object.fromEntries(
    parts.flatMap((part, i) => names.map((name): [string, Uint8Array] => [`${part}/${name}/1.png`, i ? red : grey])),
  );

Deno.test("parts go by every usual name, in any case; of several, the first in order is the one", async () => {
  const pairs = [["train", "test"], ["training", "testing"], ["Train", "Val"], ["TRAIN", "valid"], ["train", "dev"]];
  for (
    const parts of [
      ...pairs,
      ["train", "Validation"],
      ["Training", "eval"],
      ["training_set", "test_set"],
      ["train2017", "val2017"],
      ["Train-Data", "Test Images"],
      [
        "train",
        "test",
        "val",
        "extra",
      ],
    ]
  ) {
    await withFolder(tree(parts), async (folder) => {
      const { train, test, notes } = await openImageTree(folder);
      assertEquals([train.classes, train.size, test.size], [["cat", "dog"], 2, 2], parts.join());
      assertEquals(await Promise.all([train, test].map(async (part) => (await part.get(0)).pixels[0])), [77, 200]);
      const others = parts.slice(2).sort().join(", ");
      assertEquals(notes, others ? [`left out of ${folder}: 2 folders beside train and test (${others})`] : []);
    });
  }
});

Deno.test("folders of parts are no classes: what leaves open which is which is refused", async () => {
  const opened = (...parts: string[]) => withFolder(tree(parts), openImageTree);
  await assertRejects(() => opened("val", "test"), OneloraError, "test, val without a folder to train on");
  await assertRejects(() => opened("validation"), OneloraError, "validation without a folder to train on");
  await assertRejects(() => opened("train", "Training", "test"), OneloraError, "Training and train");
  if (tellsCase()) await assertRejects(() => opened("train", "Test", "test"), OneloraError, "Test and test");
  await assertRejects(() => opened("val_set", "test_set"), OneloraError, "without a folder to train on");
  await assertRejects(() => opened("train", "test_set", "test-data"), OneloraError, "one folder of that name");
  await assertRejects(() => opened("train", "birds"), OneloraError, "train alone");
  await assertRejects(() => opened("cat/train", "cat/test", "dog/train"), OneloraError, "parts inside cat");
  await assertRejects(() => opened("data/Train", "data/Test"), OneloraError, "parts inside data: Test, Train");
  // A class of trains.
  const { train } = await withFolder({ "train/1.png": red, "bus/1.png": red, "car/1.png": red }, openImageTree);
  assertEquals(train.classes, ["bus", "car", "train"]);
});

Deno.test("what is left out of an image tree is counted and named", { ignore: isWindows }, () =>
  withFolder({
    "train/10/1.png": red,
    "train/9/deep/1.BMP": red,
    "train/9/._1.png": "x",
    "train/9/Thumbs.db": "x",
    "train/9/deep/notes.txt": "x",
    "train/.ipynb_checkpoints/1.png": red,
    "train/__MACOSX/9/._1.png": "x",
    "train/loose.png": red,
    "test/9/1.png": red,
    "test/9/a\u001b[31m.txt": "",
  }, async (folder) => {
    await Deno.symlink(`${folder}/train/9`, `${folder}/train/9/deep/again`);
    await Deno.symlink(`${folder}/train/9`, `${folder}/train/10/nine`);
    const { train, test, notes } = await openImageTree(folder);
    assertEquals([train.classes, train.size, test.size], [["10", "9"], 3, 1]);
    assertEquals([...notes!].sort(), [
      `left out of ${folder}: 1 beside the class folders (loose.png)`,
      `left out of ${folder}: 1 of a program's folders (__MACOSX)`,
      `left out of ${folder}: 2 links to a folder around them (10/nine/deep/again, 9/deep/again)`,
      `left out of ${folder}: 3 hidden (.ipynb_checkpoints, 10/nine/._1.png, 9/._1.png)`,
      `left out of ${folder}: 5 that do not end as pictures do (10/nine/Thumbs.db, 10/nine/deep/notes.txt, ` +
      `9/Thumbs.db, and 2 more)`,
    ]);
  }));

Deno.test("a picture is turned as its file says, in a data set, too", async () => {
  const pixels = Uint8Array.from({ length: 24 }, (_, i) => 10 * i);
  const options = { raw: { width: 6, height: 4, channels: 1 } };
  const stored = await sharp(pixels, options).withMetadata({ orientation: 6 }).png().toBuffer();
  await withFolder({ "a/1.png": new Uint8Array(stored), "b/1.png": red }, async (folder) => {
    const { train } = await openImageTree(folder);
    const { height, width, pixels: turned } = await train.get(0);
    assertEquals([height, width], [6, 4]);
    // What is stored as the first row is the last column.
    assertEquals([3, 7, 11, 15, 19, 23].map((i) => turned[i * turned.length / 24]), [0, 10, 20, 30, 40, 50]);
  });
});

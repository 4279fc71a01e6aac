import { assert, assertEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { batches, evaluationTransform, type ImageDataset, openImageData, openImageTree } from "../../tasks/data/mod.ts";
import { withFolder } from "../support/data_folder.ts";

const specifier = "npm:sharp@0.35.5";
const { default: sharp } = await import(specifier);

/** An image of one colour, in the format that the function asks of sharp. */
async function picture(
  background: { r: number; g: number; b: number; alpha?: number },
  format: "png" | "jpeg" | "webp" = "png",
): Promise<Uint8Array> {
  const channels = background.alpha === undefined ? 3 : 4;
  const image = sharp({ create: { width: 6, height: 4, channels, background } });
  return new Uint8Array(await image.toFormat(format, { quality: 100 }).toBuffer());
}

const red = await picture({ r: 200, g: 10, b: 20 });
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
  await assertRejects(() => openImageTree("/no/such/folder"), OneloraError, "listing /no/such/folder");
  await withFolder({ "file.bin": "x" }, async (folder) => {
    await assertRejects(() => openImageTree(`${folder}/file.bin`), OneloraError, "listing");
  });
});

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

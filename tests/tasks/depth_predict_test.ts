/**
 * Depth of pictures: prepared and resampled as the reference does it, and written as files.
 *
 * @module
 */
import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { key, OneloraError, useBackend } from "../../dsl/mod.ts";
import { type ImageInput, loadParams, openModel } from "../../models/mod.ts";
import { encodeDepthPng, predictClasses, predictDepth } from "../../tasks/mod.ts";
import { depthColours, depthSteps } from "../../tasks/depth/encode.ts";
import { fittedSize } from "../../tasks/data/prepare.ts";
import { depthInput } from "../../tasks/depth/predict.ts";
import { spectral } from "../../tasks/depth/pictures.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { readColours, readDepthPng, readPair } from "../../tasks/depth/files.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));

/** A picture of the fixture; bytes are in base64. */
interface Expected {
  readonly height: number;
  readonly width: number;
  readonly pixels: string;
  readonly shape: readonly [number, number, number];
  readonly values: string;
  readonly depth: string;
}

const { sizes, pictures }: {
  readonly sizes: readonly (readonly [number, number, number, number, number])[];
  readonly pictures: readonly Expected[];
} = JSON.parse(await Deno.readTextFile(`${root}/depth-prediction.json`));

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.fromBase64(text);
const floats = (text: string): Float32Array => new Float32Array(bytes(text).buffer);

Deno.test("pictures get the sizes that transformers gives them", () => {
  const rule = (size: number) => ({ kind: "proportional", height: size, width: size, multipleOf: 14 }) as const;
  const found = sizes.map(([height, width, size]) => fittedSize(rule(size), height, width));
  assertEquals(found, sizes.map(([, , , height, width]) => [height, width]));
  assertThrows(() => fittedSize(rule(518), 1000, 5), OneloraError, "1000x5");
});

for (const backend of await available("wasm", "tensorflow")) {
  Deno.test(`pixel values are transformers', and depth comes back at the picture's size (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const model = await openModel(`${root}/depth-metric`);
      const { params } = await loadParams(model, key(0));
      const image: ImageInput = model.image!;
      assertEquals(image.multipleOf, 14);
      for (const expected of pictures) {
        const { height, width, shape } = expected;
        const picture = { pixels: bytes(expected.pixels), height, width };
        const input = depthInput(picture, image);
        assertEquals([input.height, input.width], shape.slice(1));
        assertClose(tf.tensor1d(input.values), tf.tensor1d(floats(expected.values)), 1e-6, `pixels of ${height}`);
        const depth = await predictDepth(model.layer, params, image, picture);
        assertClose(tf.tensor1d(depth), tf.tensor1d(floats(expected.depth)), 1e-5, `depth of ${height}x${width}`);
      }
    });
  });
}

Deno.test("steps of 16 bits are what the other readers of this project take them for", async () => {
  const depth = Float32Array.of(0.0004, 1.2346, 9.5, 80);
  assertEquals([...depthSteps(depth, { kind: "metric", maxDepth: 65.535 }).steps], [0, 1235, 9500, 65535]);
  const far = depthSteps(depth, { kind: "metric", maxDepth: 80 });
  assertEquals([far.perUnit, ...far.steps], [256, 0, 316, 2432, 20480]);
  const relative = depthSteps(depth, { kind: "relative" });
  assertEquals([relative.steps[0], relative.steps[3]], [0, 65535]);
  for (const [i, step] of relative.steps.entries()) {
    assertAlmostEquals(relative.offset + step / relative.perUnit, depth[i], 80 / 65535);
  }
  assertEquals([...depthSteps(Float32Array.of(2, 2), { kind: "relative" }).steps], [0, 0]);

  const file = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await Deno.writeFile(file, await encodeDepthPng(far.steps, 2, 2));
    const { values, height, width } = await readDepthPng(await loadSharp(), file, 256);
    assertEquals([height, width, ...values], [2, 2, 0, 316 / 256, 9.5, 80]);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("a photograph is seen the way up that its file says, a data set's picture is not", async () => {
  const sharp = await loadSharp();
  const file = await Deno.makeTempFile({ suffix: ".png" });
  const turned = sharp(new Uint8Array(6 * 4 * 3), { raw: { height: 6, width: 4, channels: 3 } }) as unknown as {
    withMetadata(facts: { readonly orientation: number }): ReturnType<typeof sharp>;
  };
  try {
    const { data } = await turned.withMetadata({ orientation: 6 }).png().toBuffer({ resolveWithObject: true });
    await Deno.writeFile(file, new Uint8Array(data));
    const sizes = await Promise.all([true, false].map((turn) => readColours(sharp, file, turn)));
    assertEquals(sizes.map(({ height, width }) => [height, width]), [[4, 6], [6, 4]]);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("a picture that asks to be turned goes with a depth map of its pixels as stored or as seen, or is refused", async () => {
  const sharp = await loadSharp();
  const file = await Deno.makeTempFile({ suffix: ".png" });
  const write = async (height: number, width: number, orientation: number) => {
    const pixels = Uint8Array.from({ length: 3 * height * width }, (_, i) => i);
    const picture = sharp(pixels, { raw: { height, width, channels: 3 } }) as unknown as {
      withMetadata(facts: { readonly orientation: number }): ReturnType<typeof sharp>;
    };
    const { data } = await picture.withMetadata({ orientation }).png().toBuffer({ resolveWithObject: true });
    await Deno.writeFile(file, new Uint8Array(data));
  };
  const map = (height: number, width: number) => ({ values: new Float32Array(height * width).fill(1), height, width });
  try {
    await write(3, 2, 6);
    const stored = await readPair(sharp, file, map(3, 2));
    assertEquals([stored.height, stored.width, stored.pixels[3]], [3, 2, 3]);
    const seen = await readPair(sharp, file, map(2, 3));
    // What is stored as the first row is the last column.
    assertEquals([seen.height, seen.width, seen.pixels[6], seen.pixels[15]], [2, 3, 0, 3]);
    await assertRejects(() => readPair(sharp, file, map(4, 3)), OneloraError, "the same size");
    for (const [height, width, orientation] of [[3, 2, 3], [2, 3, 2], [2, 2, 6]] as const) {
      await write(height, width, orientation);
      const failing = () => readPair(sharp, file, map(height, width));
      await assertRejects(failing, OneloraError, `EXIF orientation ${orientation}`);
    }
    await write(2, 2, 1);
    assertEquals((await readPair(sharp, file, map(2, 2))).height, 2);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("near is red and far is blue, whichever way the numbers go", () => {
  const [red, middle, blue] = [spectral[0], spectral[5], spectral[10]];
  const metres = depthColours(Float32Array.of(1, 4, 16), { kind: "metric", maxDepth: 20 });
  assertEquals([...metres], [...red, ...middle, ...blue]);
  const inverse = depthColours(Float32Array.of(3, 2, 1), { kind: "relative" });
  assertEquals([...inverse], [...red, ...middle, ...blue]);
  assertEquals([...depthColours(Float32Array.of(0, 0), { kind: "metric", maxDepth: 20 })], [...red, ...red]);
});

Deno.test("the likeliest classes come first, with their softmax", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const model = await openModel(`${root}/vit-rgb`);
    const { params } = await loadParams(model, key(0));
    const picture = { pixels: Uint8Array.from({ length: 300 }, (_, i) => i % 256), height: 10, width: 10, channels: 3 };
    const all = await predictClasses(model, model.layer, params, picture, 100);
    assertEquals(all.map(({ label }) => label).sort(), [...model.labels!].sort());
    assertEquals(all, all.toSorted((a, b) => b.probability - a.probability));
    assertAlmostEquals(all.reduce((sum, { probability }) => sum + probability, 0), 1, 1e-6);
    assertEquals(await predictClasses(model, model.layer, params, picture, 2), all.slice(0, 2));
  });
});

import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { fold, key, OneloraError } from "../../dsl/mod.ts";
import type { ImageExample } from "../../tasks/data/dataset.ts";
import { resize, type ResizeFilter } from "../../tasks/data/resize.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { encodePng } from "../../tasks/data/png.ts";
import { imageGrid } from "../../tasks/generation/pictures.ts";
import { centreCrop, generationTransform, toBytes } from "../../tasks/generation/preprocess.ts";
import fixture from "../fixtures/preprocess.json" with { type: "json" };

const bytes = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

Deno.test("box and bicubic resizing equal Pillow's byte for byte", () => {
  for (const { height, width, channels, pixels, newHeight, newWidth, filter, resized } of fixture.resizes) {
    const image = { pixels: bytes(pixels), height, width, channels, label: 3 };
    const result = resize(image, newHeight, newWidth, filter as ResizeFilter);
    assertEquals(result, { ...image, pixels: bytes(resized), height: newHeight, width: newWidth }, filter);
  }
});

Deno.test("the centre crop equals DiT's byte for byte, from larger, smaller and oblong images", () => {
  for (const { height, width, channels, pixels, size, cropped } of fixture.crops) {
    const image = { pixels: bytes(pixels), height, width, channels, label: 3 };
    assertEquals(centreCrop(image, size), { ...image, pixels: bytes(cropped), height: size, width: size });
  }
  const image = { pixels: new Uint8Array(4), height: 2, width: 2, channels: 1, label: 0 };
  assertThrows(() => centreCrop(image, 0), OneloraError, "a positive whole size");
});

Deno.test("values become bytes as DiT's code does it, and bytes survive the way there and back", () => {
  const values = new Float32Array(bytes(fixture.bytes.values).buffer);
  assertEquals(toBytes(values), bytes(fixture.bytes.bytes));
  const pixels = Uint8Array.from({ length: 256 }, (_, i) => i);
  const transform = generationTransform({ size: 16, channels: 1, flip: 0 });
  const there = transform.apply({ pixels, height: 16, width: 16, channels: 1, label: 0 }, key(0));
  assertEquals([there[0], there[255]], [-1, 1]);
  assertEquals(toBytes(there), pixels);
});

Deno.test("training images are mirrored half of the time, by key alone", () => {
  const image: ImageExample = { pixels: Uint8Array.of(0, 255, 0, 255), height: 2, width: 2, channels: 1, label: 0 };
  const transform = generationTransform({ size: 2, channels: 3 });
  assertEquals(transform.shape, [3, 2, 2]);
  const seen = Array.from({ length: 400 }, (_, i) => transform.apply(image, fold(key(0), i)));
  assertEquals(transform.apply(image, fold(key(0), 7)), seen[7]);
  const mirrored = seen.filter((values) => values[0] === 1);
  assertEquals(mirrored[0], Float32Array.of(1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1));
  assertAlmostEquals(mirrored.length / seen.length, 0.5, 0.08);
});

Deno.test("a grid puts images row by row with black between, and survives as PNG", async () => {
  const values = Float32Array.from({ length: 3 * 3 * 2 * 2 }, (_, i) => i / 17.5 - 1);
  const grid = imageGrid(values, [3, 3, 2, 2], { columns: 2, padding: 1 });
  assertEquals([grid.height, grid.width, grid.channels], [7, 7, 3]);
  const at = (y: number, x: number) => [...grid.pixels.subarray((y * 7 + x) * 3, (y * 7 + x) * 3 + 3)];
  const expected = toBytes(values);
  assertEquals(at(1, 1), [expected[0], expected[4], expected[8]]);
  assertEquals(at(1, 2), [expected[1], expected[5], expected[9]]);
  assertEquals(at(2, 5), [expected[12 + 3], expected[12 + 7], expected[12 + 11]]);
  assertEquals(at(4, 1), [expected[24], expected[28], expected[32]]);
  for (const [y, x] of [[0, 0], [3, 1], [1, 3], [4, 4], [6, 6]]) assertEquals(at(y, x), [0, 0, 0]);

  const sharp = await loadSharp();
  for (const picture of [grid, imageGrid(values.subarray(0, 36), [9, 1, 2, 2])]) {
    const png = await encodePng(picture);
    assertEquals((await sharp(png).metadata()).format, "png");
    const { data, info } = await sharp(png).raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    assertEquals([info.height, info.width], [picture.height, picture.width]);
    // sharp decodes grey as three equal channels.
    const repeats = info.channels / picture.channels;
    assertEquals(new Uint8Array(data).filter((_, i) => i % repeats === 0), picture.pixels);
  }
});

Deno.test("what is no set of images makes no grid", () => {
  assertThrows(
    () => imageGrid(new Float32Array(8), [2, 2, 1, 2]),
    OneloraError,
    "found 8 values of shape [2, 2, 1, 2]",
  );
  assertThrows(() => imageGrid(new Float32Array(7), [2, 1, 2, 2]), OneloraError, "found 7 values");
  assertThrows(() => imageGrid(new Float32Array(0), [0, 1, 2, 2]), OneloraError, "one image or more");
  assertThrows(() => imageGrid(new Float32Array(4), [1, 1, 2, 2], { columns: 0 }), OneloraError, "0 columns");
});

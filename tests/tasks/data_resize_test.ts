import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { fold, key } from "../../dsl/random.ts";
import { cropBox, evaluationTransform, standardCrop, trainingTransform } from "../../tasks/data/augment.ts";
import type { ImageExample } from "../../tasks/data/dataset.ts";
import { normalise } from "../../tasks/data/normalise.ts";
import { crop, flipHorizontally, resize } from "../../tasks/data/resize.ts";
import { turn } from "../../tasks/data/turn.ts";
import fixture from "../fixtures/resize.json" with { type: "json" };

const bytes = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

const image = (height: number, width: number, channels: number, pixels: Iterable<number>): ImageExample => ({
  pixels: Uint8Array.from(pixels),
  height,
  width,
  channels,
  label: 0,
});

Deno.test("resize equals Pillow's antialiased bilinear byte for byte", () => {
  assert(fixture.resizes.length >= 10);
  for (const { height, width, channels, pixels, newHeight, newWidth, resized } of fixture.resizes) {
    const result = resize(image(height, width, channels, bytes(pixels)), newHeight, newWidth);
    assertEquals([result.height, result.width, result.channels], [newHeight, newWidth, channels]);
    assertEquals(result.pixels, bytes(resized));
  }
});

Deno.test("every filter leaves a picture of one colour as it is, where a new pixel's middle is an old one's too", () => {
  const plain = image(9, 15, 1, Array(9 * 15).fill(200));
  for (const filter of ["nearest", "box", "hamming", "lanczos", "bilinear", "bicubic"] as const) {
    for (const [height, width] of [[3, 5], [27, 45]]) {
      assertEquals([...new Set(resize(plain, height, width, filter).pixels)], [200], `${filter} to ${height}x${width}`);
    }
  }
});

Deno.test("resize refuses sizes that are not positive whole numbers, and empty images", () => {
  const one = image(1, 1, 1, [5]);
  assertThrows(() => resize(one, 0, 3), OneloraError, "positive whole sizes");
  assertThrows(() => resize(one, 2.5, 3), OneloraError);
  assertThrows(() => resize(image(0, 1, 1, []), 2, 2), OneloraError);
});

Deno.test("crop boxes equal torchvision's from the same draws, the central fallback included", () => {
  let fallbacks = 0;
  for (const { height, width, scale, ratio, draws, box } of fixture.crops) {
    const ranges = { scale: [scale[0], scale[1]], ratio: [ratio[0], ratio[1]] } as const;
    const numbers = new Float32Array(bytes(draws).buffer);
    const { top, left, height: h, width: w } = cropBox(height, width, ranges, numbers);
    assertEquals([top, left, h, w], box);
    const tries = Array.from({ length: 10 }, (_, i) => {
      const area = height * width * (numbers[4 * i] * (scale[1] - scale[0]) + scale[0]);
      const aspect = ratio[0] * (ratio[1] / ratio[0]) ** numbers[4 * i + 1];
      return Math.round(Math.sqrt(area * aspect)) <= width && Math.round(Math.sqrt(area / aspect)) <= height;
    });
    if (!tries.includes(true)) fallbacks++;
  }
  assert(fallbacks > 5 && fallbacks < fixture.crops.length, `${fallbacks} fallbacks`);
});

Deno.test("crop cuts the box and flipping twice is the identity", () => {
  const picture = image(3, 4, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assertEquals([...crop(picture, { top: 1, left: 2, height: 2, width: 2 }).pixels], [6, 7, 10, 11]);
  assertEquals([...flipHorizontally(picture).pixels], [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]);
  const colours = image(1, 2, 3, [1, 2, 3, 4, 5, 6]);
  assertEquals([...flipHorizontally(colours).pixels], [4, 5, 6, 1, 2, 3]);
  assertEquals(flipHorizontally(flipHorizontally(colours)), colours);
});

Deno.test("normalise puts channels first, repeats grey, and takes Pillow's luminance of colours", () => {
  const colours = image(1, 2, 3, [0, 51, 102, 153, 204, 255]);
  const planes = normalise(colours, { channels: 3, mean: [0, 0.5, 1], std: [1, 0.5, 2] });
  [0, 0.6, -0.6, 0.6, -0.3, 0].forEach((value, i) => assertAlmostEquals(planes[i], value, 1e-6));
  const grey = normalise(image(1, 1, 1, [255]), { channels: 3, mean: [0, 0.5, 0], std: [1, 1, 0.5] });
  assertEquals([...grey], [1, 0.5, 2]);
  const { colours: reference, grey: expected } = fixture.luminance;
  const luminance = normalise(image(8, 8, 3, bytes(reference)), { channels: 1, mean: [0], std: [1] });
  assertEquals(Array.from(luminance, (value) => Math.round(value * 255)), [...bytes(expected)]);
  const alpha = image(1, 1, 4, [1, 2, 3, 4]);
  assertThrows(() => normalise(alpha, { channels: 3, mean: [0, 0, 0], std: [1, 1, 1] }), OneloraError, "4 channels");
});

Deno.test("transforms: evaluation ignores the key, training depends on it alone, wrong statistics are refused", () => {
  const picture = image(12, 10, 3, Array.from({ length: 360 }, (_, i) => (i * 37) % 256));
  const model = { size: 8, channels: 3, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  const evaluation = evaluationTransform(model);
  assertEquals(evaluation.shape, [3, 8, 8]);
  assertEquals(evaluation.apply(picture, key(1)), evaluation.apply(picture, key(2)));
  const training = trainingTransform(model);
  assertEquals(training.apply(picture, key(1)), training.apply(picture, key(1)));
  assert(training.apply(picture, key(1)).some((value, i) => value !== training.apply(picture, key(2))[i]));
  const still = trainingTransform({ ...model, crop: false, flip: 0 });
  assertEquals(still.apply(picture, key(1)), evaluation.apply(picture, key(1)));
  const mirrored = trainingTransform({ ...model, crop: false, flip: 1 });
  assertEquals(mirrored.apply(picture, key(1)), evaluation.apply(flipHorizontally(picture), key(1)));
  assertThrows(() => evaluationTransform({ ...model, mean: [0.5] }), OneloraError, "a mean and a positive std");
  assertThrows(() => trainingTransform({ ...model, std: [0, 1, 1] }), OneloraError);
});

Deno.test("training crops are torchvision's standard ones and flips come half of the time", () => {
  // RandomResizedCrop's defaults, which the reference's first boxes are drawn with.
  const [{ scale, ratio }] = fixture.crops;
  assertEquals([[...standardCrop.scale], [...standardCrop.ratio]], [scale, ratio]);
  const picture = image(32, 32, 1, Array.from({ length: 1024 }, (_, i) => i % 32));
  const flipped = trainingTransform({ size: 2, channels: 1, mean: [0], std: [1], crop: standardCrop });
  let mirrored = 0;
  for (let i = 0; i < 400; i++) {
    const [left, right] = flipped.apply(picture, fold(key(5), i));
    if (left > right) mirrored++;
  }
  assert(mirrored > 150 && mirrored < 250, `${mirrored} of 400`);
});

Deno.test("a quarter turn moves the right edge to the top, and four give the image back", () => {
  const image = { pixels: Uint8Array.of(1, 2, 3, 4), height: 2, width: 2, channels: 1, label: 0 };
  assertEquals(turn(image, 1).pixels, Uint8Array.of(2, 4, 1, 3));
  assertEquals(turn(turn(image, 3), 1), image);
});

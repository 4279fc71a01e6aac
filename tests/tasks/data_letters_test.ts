import { assert, assertEquals, assertLess, assertNotEquals } from "@std/assert";
import { openImageData } from "../../tasks/data/open.ts";
import type { ImageExample } from "../../tasks/data/dataset.ts";
import { letterShapes } from "../../tasks/data/letter_shapes.ts";

const { train, test } = await openImageData("letters");

Deno.test("letters are of many scripts, every one as often as every other, and no digit is among them", async () => {
  assertEquals([train.classes.length, new Set(train.classes).size], [86, 86]);
  assert(train.classes.every((name) => /^\p{L}$/u.test(name)));
  assertEquals([train.size, test.size], [86 * 4000, 86 * 100]);
  for (const index of [0, 85, 86, 12_345]) {
    assertEquals([train.labelOf!(index), (await train.get(index)).label], [index % 86, index % 86]);
  }
});

Deno.test("strokes are two points or more on the grid, and no two letters have the same", () => {
  for (const [name, strokes] of letterShapes) {
    for (const { kind, points } of strokes) {
      assert(points.length >= (kind === "loop" ? 3 : 2), name);
      assert(points.flat().every((place) => Number.isInteger(place) && place >= 0 && place <= 8), name);
    }
  }
  assertEquals(new Set([...letterShapes.values()].map((strokes) => JSON.stringify(strokes))).size, letterShapes.size);
});

/** Mean ink, and its centre in pixels. */
function inkOf({ pixels, width }: ImageExample): readonly [ink: number, x: number, y: number] {
  const sums = pixels.reduce(
    ([ink, x, y], byte, i) => [ink + byte, x + byte * (i % width + 0.5), y + byte * (Math.floor(i / width) + 0.5)],
    [0, 0, 0],
  );
  return [sums[0] / 255 / pixels.length, sums[1] / sums[0], sums[2] / sums[0]];
}

Deno.test("pictures are like MNIST's: 28x28, white on black, centred, with as much ink", async () => {
  let total = 0;
  for (let index = 0; index < 860; index++) {
    const image = await train.get(index);
    assertEquals([image.height, image.width, image.channels, image.pixels.length], [28, 28, 1, 784]);
    const [ink, x, y] = inkOf(image);
    total += ink / 860;
    assertLess(Math.max(Math.abs(x - 14), Math.abs(y - 14)), 2, `${train.classes[image.label]} ${index}`);
    assert(image.pixels.some((byte) => byte > 200) && ink > 0.02 && ink < 0.4);
  }
  assert(total > 0.11 && total < 0.17, `${total}`);
});

Deno.test("an example is a function of part and index alone", async () => {
  const [first, again] = [await train.get(300), await train.get(300)];
  assertEquals(again.pixels, first.pixels);
  assertNotEquals((await train.get(386)).pixels, first.pixels);
  assertNotEquals((await test.get(300)).pixels, first.pixels);
  const digest = (bytes: Uint8Array) =>
    bytes.reduce((hash, byte) => BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n), 0xcbf29ce484222325n);
  assertEquals(digest(first.pixels).toString(16), "f1186f265367c53d");
});

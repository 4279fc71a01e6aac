import { assertEquals } from "@std/assert";
import { openImageData } from "../../tasks/data/open.ts";

Deno.test("the built-in MNIST is the published one: sizes, class counts, first digits, total ink", async () => {
  const { train, test } = await openImageData("mnist");
  const counts = async (part: typeof train) => {
    const out = new Array(10).fill(0);
    for (let i = 0; i < part.size; i++) out[(await part.get(i)).label]++;
    return out;
  };
  assertEquals(await counts(train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
  assertEquals(await counts(test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
  const first = await Promise.all([0, 1, 2, 3, 4].map((i) => train.get(i)));
  assertEquals(first.map(({ label }) => label), [5, 0, 4, 1, 9]);
  assertEquals(first.map(({ height, width, channels }) => [height, width, channels])[0], [28, 28, 1]);
  let ink = 0;
  for (let i = 0; i < train.size; i++) for (const byte of (await train.get(i)).pixels) ink += byte;
  // The published mean of the training pixels, 0.1307 on the scale 0 to 1.
  assertEquals((ink / (255 * 784 * train.size)).toFixed(4), "0.1307");
});

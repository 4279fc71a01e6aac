import { assertEquals } from "@std/assert";
import { freeCorner } from "../../scripts/commands/sweep/labels.ts";

Deno.test("a chart's legend lies where it covers the fewest marks, at the lower right if nothing is in the way", () => {
  const size = { width: 520, height: 400 };
  const [low, high, left, right] = [380, 20, 20, 500];
  const free = (...places: readonly (readonly [number, number])[]) =>
    freeCorner(places.map(([x, y]) => ({ x, y })), size);
  assertEquals(free(), "bottom-right");
  assertEquals(free([260, 200], [left, low], [right, high]), "bottom-right");
  // Where lower is better, the best and slowest lie at the lower right.
  assertEquals(free([right, low]), "top-right");
  assertEquals(free([right, low], [right, high]), "bottom-left");
  assertEquals(free([right, low], [right, low], [right, high], [left, low], [left, high]), "top-right");
});

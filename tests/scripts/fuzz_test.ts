import { assert, assertEquals } from "@std/assert";
import { fuzzTarget, MOST_MEMORY, startFuzzing } from "../../scripts/tools/fuzz/run.ts";
import { targets } from "../../scripts/tools/fuzz/targets.ts";

const thread = startFuzzing();
globalThis.addEventListener("unload", () => void thread.close());

for (const name of Object.keys(targets)) {
  Deno.test(`files that are nearly right are read or refused in one line: ${name}`, async () => {
    // A seed of its own: `deno task fuzz` tries many more.
    const { read, refused, faults, hangs, memory } = await fuzzTarget(thread, name, 7, 60);
    assertEquals({ faults, hangs }, { faults: [], hangs: [] });
    assertEquals(read + refused, 60);
    assert(refused > 0 || name === "png", "nothing was refused: the reader is not fed");
    assert(memory < MOST_MEMORY, `${memory} bytes`);
  });
}

Deno.test("a fault and a hang are found, and tried again one by one", async () => {
  assert("safetensors" in targets);
  await fuzzTarget(thread, "no such reader", 1, 2).then(({ hangs }) => assertEquals(hangs, [0, 1]));
});

/**
 * Programs that XLA has compiled are kept for the next process.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { childOutput } from "../../scripts/cli/child.ts";
import { taskArguments } from "../../scripts/cli/deno.ts";
import { available } from "../support/available.ts";

Deno.test({
  name: "a second process takes the compiled step of the first from the folder of programs",
  ignore: (await available("tensorflow")).length === 0,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const env = {
        TF_XLA_FLAGS: `--tf_xla_persistent_cache_directory=${folder} --tf_xla_persistent_cache_device_types=CPU`,
      };
      const script = fileOf(new URL("../support/compile_once.ts", import.meta.url));
      const run = () => childOutput([...taskArguments("train"), script], { attempted: "compiling a step", env });
      /** Files by name, with the time of their last change. */
      const kept = () =>
        Array.from(Deno.readDirSync(folder), ({ name }) => [name, Deno.statSync(`${folder}/${name}`).mtime] as const)
          .sort(([a], [b]) => a < b ? -1 : 1);
      const first = await run();
      const before = kept();
      assert(before.length > 0);
      assertEquals(await run(), first);
      // What is compiled again is written again.
      assertEquals(kept(), before);
      assertEquals(Math.round(JSON.parse(first).loss), Math.round(64 * (1 + Math.tanh(8 * 0.125))));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

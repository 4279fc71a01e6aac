/**
 * What is documented runs: the TypeScript examples of the README, the docs and the tour in tasks/mod.ts.
 *
 * @module
 */
import { assert } from "@std/assert";
import { denoCommand } from "../scripts/cli/deno.ts";

Deno.test("the examples of the README and the tour run", async () => {
  const { success, stdout, stderr } = await new Deno.Command(await denoCommand(), {
    // Their types are checked with those of every example.
    args: [
      ...["test", "-P", "--no-lock", "--quiet", "--no-check"],
      ...["--doc", "README.md", "docs/image-classification.md", "tasks/mod.ts"],
    ],
    cwd: new URL("../", import.meta.url),
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert(success, out + err);
});

/**
 * What the package exports: few names, of which the root's fit two screens of `deno doc`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { denoCommand } from "../scripts/cli/deno.ts";
import * as root from "../mod.ts";

/** What `deno doc` prints. */
async function documentation(...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(await denoCommand(), {
    args: ["doc", ...args],
    cwd: new URL("../", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Names that an entry exports, types included. */
async function namesOf(entry: string): Promise<readonly string[]> {
  const { nodes }: {
    readonly nodes: Readonly<Record<string, { readonly symbols: readonly { readonly name: string }[] }>>;
  } = JSON.parse(await documentation("--json", entry));
  return [...new Set(Object.values(nodes).flatMap(({ symbols }) => symbols.map(({ name }) => name)))];
}

/** The most names of each entry, values and the types that their declarations name. */
const ceilings: Readonly<Record<string, number>> = {
  "mod.ts": 20,
  "dsl/mod.ts": 225,
  "adapters/mod.ts": 82,
  "models/mod.ts": 105,
  "tasks/mod.ts": 280,
};

Deno.test("every entry exports what is meant to be used, and no more names than it may", async () => {
  const counts = await Promise.all(
    Object.keys(ceilings).map(async (entry) => [entry, (await namesOf(entry)).length] as const),
  );
  console.log(`exported names: ${counts.map(([entry, count]) => `${entry} ${count}`).join(", ")}`);
  for (const [entry, count] of counts) {
    assert(count > 0 && count <= ceilings[entry], `${entry} exports ${count} names, at most ${ceilings[entry]}`);
  }
});

Deno.test("deno doc mod.ts fits two screens, and names every method", async () => {
  const printed = await documentation("mod.ts");
  assert(printed.split("\n").length <= 120, `${printed.split("\n").length} lines`);
  for (const name of [...Object.keys(root), ...Object.keys(root.methods)]) {
    assert(new RegExp(`(const|namespace|\`)\\b ?${name}\\b`).test(printed), `${name} is not in what deno doc prints`);
  }
});

Deno.test("what a user composes is reachable from the root", () => {
  const names = ["adapt", "at", "everyLinear", "fineTune", "load", "loadAdapter", "loadParams", "merge", "methods"];
  const others = ["OneloraError", "openModel", "parameterCounts", "save", "useBackend"];
  assertEquals(Object.keys(root).sort(), [...names, ...others].sort());
  const placed = ["bitfit", "difffit", "dora", "ia3", "lora", "miss", "mora1", "mora6", "oneLora", "scale", "vera"];
  assertEquals(Object.keys(root.methods).sort(), [...placed, "all", "head", "labels", "norms"].sort());
});

/**
 * `deno task ok`: every check of the project, in order of cost; stops at the first that fails.
 *
 * @module
 */

import { denoCommand } from "./deno.ts";

const { exports }: { readonly exports: Readonly<Record<string, string>> } = JSON.parse(
  await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
);
const entries = Object.values(exports);

/** The checks: what each is called, and deno's arguments. */
const checks: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint"]],
  ["types", ["check", "--frozen", "."]],
  ["documentation", ["doc", "--lint", ...entries]],
  ["documentation's examples", [
    "test",
    "-P",
    "--doc",
    ...entries.map((entry) => entry.replace(/(?<=\w)\/mod\.ts$/, "")),
    "packages",
  ]],
  ["tests", ["task", "-q", "test"]],
  ["package", ["publish", "--dry-run", "--allow-dirty"]],
];

const deno = await denoCommand();
for (const [name, args] of checks) {
  console.log(`\n# ${name}: deno ${args.join(" ")}`);
  const { code } = await new Deno.Command(deno, { args: [...args], stdin: "null" }).spawn().status;
  if (code !== 0) {
    console.error(`error: ${name} failed: deno ${args.join(" ")}`);
    Deno.exit(1);
  }
}
console.log(`\nok: ${checks.map(([name]) => name).join(", ")}`);

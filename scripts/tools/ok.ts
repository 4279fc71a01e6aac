/**
 * `deno task ok`: every check of the project, in order of cost; stops at the first that fails.
 *
 * @module
 */

import { fileOf } from "../../dsl/files/path.ts";
import { denoCommand } from "../cli/deno.ts";

/** One check: what it is called, deno's arguments, and which of the faults it reports are not the project's. */
interface Check {
  readonly name: string;
  readonly args: readonly string[];
  /** The faults that remain of a failed check's report; without it any failure is a fault. */
  readonly faults?: (report: string) => readonly string[];
}

const root = fileOf(new URL("../../", import.meta.url));
const { exports }: { readonly exports: Readonly<Record<string, string>> } = JSON.parse(
  await Deno.readTextFile(`${root}deno.json`),
);
/** The modules among what is published; the rest are commands, which export nothing. */
const entries = Object.values(exports).filter((entry) => entry.endsWith("mod.ts"));
/** Pages with examples. */
const pages = ["README.md", "docs/image-classification.md"];
const packages = ["scripts/tools/std/assert/mod.ts", "scripts/tools/std/cli/mod.ts"];

/** The faults that lie in the project's own files: what it re-exports of npm packages is documented as it is there. */
function ownFaults(report: string): readonly string[] {
  // deno-lint-ignore no-control-regex -- colours are control characters
  const plain = report.replace(/\x1b\[[0-9;]*m/g, "");
  const faults = [...plain.matchAll(/^error\[.*\n +--> (.*):\d+:\d+$/gm)];
  if (faults.length === 0) return [plain];
  return faults.filter(([, path]) => path.startsWith(root)).map(([fault]) => fault);
}

const checks: readonly Check[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "--frozen", "."] },
  {
    // What runs in a page is checked with what pages have, apart from the rest.
    name: "types of the page",
    args: ["check", "--no-lock", "--config=scripts/page/client/page.json", "scripts/page/client/window/app.ts"],
  },
  { name: "documentation", args: ["doc", "--lint", ...entries, ...packages], faults: ownFaults },
  {
    name: "examples",
    args: ["test", "-P", "--doc", ...entries.map((entry) => entry.replace(/(?<=\w)\/mod\.ts$/, "")), ...pages],
  },
  { name: "tests", args: ["task", "test"] },
  { name: "package", args: ["publish", "--dry-run", "--allow-dirty"] },
];

/** Runs a check; whether it holds. */
async function holds({ args, faults }: Check, deno: string): Promise<boolean> {
  const options: Deno.CommandOptions = { args: [...args], cwd: root, stdin: "null" };
  if (faults === undefined) return (await new Deno.Command(deno, options).spawn().status).success;
  const { success, stderr } = await new Deno.Command(deno, options).output();
  const found = success ? [] : faults(new TextDecoder().decode(stderr));
  for (const fault of found) console.error(fault);
  return found.length === 0;
}

const deno = await denoCommand();
for (const check of checks) {
  const line = `deno ${check.args.join(" ")}`;
  console.log(`\n# ${check.name}: ${line}`);
  if (!await holds(check, deno)) {
    console.error(`error: ${check.name}: ${line} failed`);
    Deno.exit(1);
  }
}
console.log(`\nok: ${checks.map(({ name }) => name).join(", ")}`);

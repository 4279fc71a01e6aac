/**
 * `deno task test`: the test suite, with the permissions of `deno test -P`; the last line is `N passed, N failed`.
 * Further arguments go to `deno test`. This file is not named test.ts because deno would take it for a test.
 *
 * @module
 */

import { denoCommand } from "../cli/deno.ts";

/** Passes a child's output on and returns the last of it. */
async function passOn(output: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let last = "";
  for await (const chunk of output) {
    for (let sent = 0; sent < chunk.length;) sent += await Deno.stdout.write(chunk.subarray(sent));
    last = (last + decoder.decode(chunk, { stream: true })).slice(-10_000);
  }
  return last;
}

/** The counts of deno's closing line, `ok | 12 passed (3 steps) | 0 failed (2s)`. */
function tally(output: string): { readonly passed: number; readonly failed: number } | undefined {
  // deno-lint-ignore no-control-regex -- colours are control characters
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const found = [...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1);
  return found && { passed: Number(found[1]), failed: Number(found[2]) };
}

/**
 * Tests that get a process of their own: a software driver of webgpu may bring an LLVM whose symbols TensorFlow's compiler
 * then takes for its own, and crashes.
 */
const APART = "tests/dsl/engine_backends_test.ts";

// Tests fetch packages that only some need, which have a lock file of their own.
const locked = ["--unstable-npm-lazy-caching", "--lock=on_demand.lock", "--frozen"];

/** Runs `deno test` with these arguments. */
async function run(...args: readonly string[]): Promise<{ passed: number; failed: number; code: number }> {
  const child = new Deno.Command(await denoCommand(), {
    args: ["test", "-P", ...locked, ...args],
    stdout: "piped",
    ...(Deno.stdout.isTerminal() ? { env: { FORCE_COLOR: "1" } } : {}),
  }).spawn();
  const [output, { code }] = await Promise.all([passOn(child.stdout), child.status]);
  // Without a closing line no test ran, for instance because a file does not compile.
  return { code, passed: 0, failed: code === 0 ? 0 : 1, ...tally(output) };
}

// The whole suite leaves types to `deno check`, which takes a quarter of the time.
const results = Deno.args.length > 0
  ? [await run(...Deno.args)]
  : [await run("--no-check", `--ignore=${APART}`), await run("--no-check", APART)];
const sum = (of: "passed" | "failed") => results.reduce((total, each) => total + each[of], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
Deno.exit(Math.max(...results.map(({ code }) => code)));

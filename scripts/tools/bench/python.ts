/**
 * Starts a Python and passes on what it prints: `python.ts PYTHON ARGUMENT...`.
 *
 * @module
 */

const [python, ...args] = Deno.args;
try {
  const { code } = await new Deno.Command(python, { args, stdin: "null" }).spawn().status;
  Deno.exit(code);
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
  console.error(`error: no program ${python}`);
  Deno.exit(1);
}

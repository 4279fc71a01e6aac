/**
 * Talking through the terminal: lines from standard input, and Ctrl-C that ends what is said and not the program.
 *
 * @module
 */
import type { Terminal } from "../../tasks/trainer/prediction.ts";
import { interruptions } from "./signals.ts";

/** Lines of standard input; at a terminal each is asked for. */
async function* standardLines(ask: () => void): AsyncGenerator<string, void, void> {
  let rest = "";
  const isAsked = Deno.stdin.isTerminal();
  if (isAsked) ask();
  for await (const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${part}`.split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      yield line;
      if (isAsked) ask();
    }
  }
  if (rest !== "") yield rest;
}

/**
 * The terminal of this process. Standard output has the answers alone; what is asked and noted goes to standard error.
 *
 * @param write Writes what is answered
 */
export function standardTerminal(write: (text: string) => void): Terminal {
  const encoder = new TextEncoder();
  const begin = interruptions();
  return {
    lines: standardLines(() => void Deno.stderr.writeSync(encoder.encode("> "))),
    write,
    note: (line) => console.error(`note: ${line}`),
    answering: begin,
  };
}

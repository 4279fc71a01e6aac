/**
 * Elementwise calls at the end of a backward pass go to the start of the one that reads them, where they can be part of
 * a cluster: a sum of a product and a small term is then not written and read again.
 *
 * @module
 */
import { biasedProducts } from "../passes.ts";
import { readersOf } from "../uses.ts";
import { type Call, type Program, segmentsOf } from "../program.ts";
import { isFusible } from "./clusters.ts";

/** Which calls are in a region or use what one made: the backward pass. */
function backwardCalls({ calls }: Program): readonly boolean[] {
  const made = new Set<number>();
  return calls.map(({ region, inputs, outputs }) => {
    const is = region !== 0 || inputs.some((value) => made.has(value));
    if (is) outputs.forEach((value) => made.add(value));
    return is;
  });
}

/**
 * Moves such calls to just before their first reader and into its region, where all their readers are in one stretch.
 *
 * @param program The program
 */
export function sinkTails(program: Program): Program {
  const { calls } = program;
  const segment = [...segmentsOf(program)];
  const regions = calls.map(({ region }) => region);
  const position = calls.map((_, i) => i);
  const isBackward = backwardCalls(program);
  const results = new Set(program.outputs);
  // A matrix product adds its bias itself.
  const biases = new Set(biasedProducts(program).map(({ add }) => add));
  const readers = readersOf(program);
  // From the last call to the first: a reader has moved before what it reads.
  for (let i = calls.length - 1; i >= 0; i--) {
    const { outputs: [output] } = calls[i];
    const all = readers.get(output) ?? [];
    const isMovable = isBackward[i] && isFusible(calls[i], program) && !biases.has(calls[i]) && !results.has(output);
    const [first] = [...all].sort((a, b) => position[a] - position[b]);
    const isTogether = new Set(all.map((reader) => segment[reader])).size === 1;
    if (!isMovable || !isTogether || segment[first] === segment[i]) continue;
    if (!all.some((reader) => isFusible(calls[reader], program))) continue;
    [segment[i], regions[i], position[i]] = [segment[first], regions[first], position[first]];
  }
  const order = calls.map((_, i) => i).sort((a, b) => position[a] - position[b] || a - b);
  return { ...program, calls: order.map((i): Call => ({ ...calls[i], region: regions[i] })) };
}

/**
 * Several examples in a row, none of which sees another.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { languageConfig } from "../../models/llama/siblings.ts";
import type { Model } from "../../models/mod.ts";
import type { EncodedText } from "./encode.ts";

/**
 * Packs examples into rows of at most so many tokens: the longest first, each into the fullest row that has room for it. Every
 * example stays whole, with a number of its own by which attention keeps them apart. Rotary positions need no new start: only
 * distances matter.
 *
 * @param examples The examples
 * @param length Tokens of a row at most; none is longer
 */
export function packTexts(examples: readonly EncodedText[], length: number): readonly EncodedText[] {
  const order = examples.map((_, i) => i).sort((a, b) => examples[b].ids.length - examples[a].ids.length || a - b);
  // Rows by the room that they have left.
  const byRoom: number[][][] = Array.from({ length: length + 1 }, () => []);
  for (const index of order) {
    const need = examples[index].ids.length;
    let room = need;
    while (room <= length && byRoom[room].length === 0) room++;
    const row = room <= length ? byRoom[room].pop()! : [];
    row.push(index);
    byRoom[(room <= length ? room : length) - need].push(row);
  }
  return byRoom.flat().map((row): EncodedText => {
    const join = (of: (index: number, n: number) => Int32Array) => {
      const parts = row.map(of);
      const joined = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
      parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
      return joined;
    };
    return {
      ids: join((i) => examples[i].ids),
      start: 0,
      labels: join((i) => examples[i].labels),
      segments: join((i, n) => new Int32Array(examples[i].ids.length).fill(n + 1)),
    };
  });
}

/**
 * Refuses packed rows that a model turns otherwise than the texts in them: dynamic scaling of rotary positions follows the length
 * of a row, and a row of several texts is longer than each.
 *
 * @param model A language model
 * @param rows The rows
 * @param multiple What rows are padded to multiples of
 * @throws OneloraError (exit code 2) for rows that are longer than the model's own texts under dynamic scaling
 */
export function refuseStretched(model: Pick<Model, "config">, rows: readonly EncodedText[], multiple: number): void {
  const { rope: { scaling }, positions } = languageConfig(model.config);
  if (scaling?.type !== "dynamic") return;
  const longest = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const padded = Math.ceil(longest / multiple) * multiple;
  if (padded <= positions) return;
  throw new OneloraError({
    attempted: "packing texts (`--pack`)",
    found:
      `rows of ${padded} tokens, and rotary positions that are scaled by a row's length beyond ${positions} (rope_type "dynamic")`,
    allowed: `rows of at most ${positions} (\`--length\`), or no \`--pack\``,
  }, { exitCode: 2 });
}

/**
 * Several examples in a row, none of which sees another.
 *
 * @module
 */
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

import { assert, assertEquals, assertGreater, assertInstanceOf } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { bits, fold, key } from "../../dsl/random.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { bytesOf, craft, entry } from "../support/safetensors_craft.ts";
import { inFolder } from "../support/data_folder.ts";

const itemBytes: Readonly<Record<string, number>> = { F32: 4, F16: 2, I64: 8, U8: 1, BOOL: 1 };
const header =
  `{"__metadata__":{"format":"pt"},"weight":${entry("F32", [2, 3], 8, 32)},"steps":${entry("I64", [], 0, 8)},` +
  `"half":${entry("F16", [4, 1], 32, 40)},"mask":${entry("BOOL", [3], 40, 43)},"none":${
    entry("U8", [0, 7], 43, 43)
  }}   `;
const data = new Uint8Array(bits(key(1), 11).buffer).slice(0, 43);

/** A choice among `from` by a random word. */
function pick<Item>(from: ArrayLike<Item>, word: number): Item {
  return from[word % from.length];
}

/** Replaces the `word`-th match of a pattern. */
function replaceOne(text: string, pattern: RegExp, word: number, by: (found: string) => string): string {
  const matches = [...text.matchAll(pattern)];
  if (matches.length === 0) return text;
  const { index, 0: found } = pick(matches, word);
  return text.slice(0, index) + by(found) + text.slice(index + found.length);
}

const numbers = [
  "0",
  "1",
  "-1",
  "-0",
  "3.0",
  "1e2",
  "4",
  "8",
  "40",
  "43",
  "44",
  "4294967296",
  "9007199254740993",
  "1e400",
  "{}",
];
const symbols = `{}[]",:\\0u \n\0\u00e9`;

/** Edits of the header's text, whose length field then fits. */
const edits: readonly ((text: string, words: Uint32Array) => string)[] = [
  (text, [a, b]) => replaceOne(text, /\d+/g, a, () => pick(numbers, b)),
  (text, [a, b]) => replaceOne(text, /\d+/g, a, (found) => String(Number(found) + (b % 2 === 0 ? 1 : -1))),
  (text, [a, b, c]) => {
    const offsets = [...text.matchAll(/\[\d+,\d+\]/g)].map(([found]) => found);
    const [first, second] = [pick(offsets, a), pick(offsets, b)];
    const swapped = text.replace(first, "@").replace(second, first);
    return c % 3 === 0 ? replaceOne(text, /\[\d+,\d+\]/g, a, () => second) : swapped.replace("@", second);
  },
  (text, [a]) => replaceOne(text, /\[(\d+),(\d+)\]/g, a, (found) => `[${found.slice(1, -1).split(",").reverse()}]`),
  (text, [a, b]) => replaceOne(text, /"\w+"/g, a, () => pick([...text.matchAll(/"\w+"/g)], b)[0]),
  (text, [a, b]) => text.slice(0, a % text.length) + pick(symbols, b) + text.slice(a % text.length + 1),
  (text, [a, b]) => text.slice(0, a % text.length) + pick(symbols, b) + text.slice(a % text.length),
  (text, [a, b]) => text.slice(0, a % text.length) + text.slice(a % text.length + b % 20),
  (text, [a, b]) => text.slice(0, a % text.length + b % 60) + text.slice(a % text.length),
  (text, [a, b]) => replaceOne(text, /[{,]"/g, a, (found) => found[0] + " ".repeat(b % 9) + found[1]),
];

/** Edits of the file's bytes. */
const damages: readonly ((bytes: Uint8Array<ArrayBuffer>, words: Uint32Array) => Uint8Array<ArrayBuffer>)[] = [
  (bytes, words) => {
    for (const word of words.subarray(0, 1 + words[7] % 4)) bytes[(word >>> 3) % bytes.length] ^= 1 << (word & 7);
    return bytes;
  },
  (bytes, [a]) => bytes.slice(0, a % bytes.length),
  (bytes, [a, b]) => Uint8Array.of(...bytes, ...new Uint8Array(1 + a % 40).fill(b)),
  (bytes, [a, b, c]) => {
    const length = pick([BigInt(a % bytes.length), BigInt(header.length + b % 9 - 4), BigInt(a) << 32n | BigInt(b)], c);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return bytes;
  },
];

/** The `index`-th hostile file; some edits are repeated, some undo each other. */
function mutate(index: number): Uint8Array<ArrayBuffer> {
  const words = bits(fold(key(2026), index), 8);
  if (index % 3 === 0) return pick(damages, words[6])(craft(header, data), words);
  const once = pick(edits, words[6])(header, words);
  return craft(words[5] % 4 === 0 ? pick(edits, words[4])(once, words.subarray(2)) : once, data);
}

/** Checks an opened file against a plain reading of its header; true if it could be opened. */
async function checked(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  try {
    await using checkpoint = await openSafetensors(path);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const { __metadata__: metadata = {}, ...entries } = JSON.parse(
      new TextDecoder().decode(bytes.subarray(8, 8 + length)),
    );
    assertEquals(checkpoint.metadata, metadata);
    assertEquals([...checkpoint.names].sort(), Object.keys(entries).sort());
    let total = 0;
    for (const name of checkpoint.names) {
      const { dtype, shape, data_offsets: [begin, end] } = entries[name];
      const tensor = await checkpoint.read(name);
      assertEquals([tensor.dtype, tensor.shape], [dtype, shape]);
      assertEquals(bytesOf(tensor), bytes.subarray(8 + length + begin, 8 + length + end));
      assertEquals(
        tensor.data.byteLength,
        shape.reduce(
          (product: number, axis: number) => product * axis,
          itemBytes[dtype] ?? tensor.data.BYTES_PER_ELEMENT,
        ),
      );
      total += tensor.data.byteLength;
    }
    assertEquals(total, bytes.length - 8 - length);
    return true;
  } catch (error) {
    assertInstanceOf(error, OneloraError);
    assert(!error.message.includes("\n"), error.message);
    return false;
  }
}

Deno.test("3,000 mutated safetensors files are refused with a OneloraError or read correctly", () =>
  inFolder(async (folder) => {
    const path = `${folder}/mutated.safetensors`;
    await Deno.writeFile(path, craft(header, data));
    assert(await checked(path, craft(header, data)), "the unchanged file is read");
    let read = 0;
    for (let index = 0; index < 3000; index++) {
      const bytes = mutate(index);
      await Deno.writeFile(path, bytes);
      if (await checked(path, bytes)) read++;
    }
    // Both outcomes occur often, so neither check is idle.
    assertGreater(read, 200);
    assertGreater(3000 - read, 2000);
  }));

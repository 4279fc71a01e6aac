/**
 * PyTorch's files before version 1.6: five pickles in a row (a magic number, a version, the machine's facts, the value, the
 * storages' names), then each storage as its number of elements and its bytes.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import type { RangedFile } from "../../../dsl/files/file.ts";
import { itemSize } from "../../../dsl/safetensors/mod.ts";
import { unpickle } from "./pickle.ts";
import { MOST_PICKLE_BYTES, type Saved, type Span } from "./record.ts";
import { isKind, type Storage, type Value } from "./value.ts";

const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;

/** How a file of this kind begins: a pickle of protocol 2 with the magic number, ten bytes long. */
const BEGINNING: readonly number[] = [0x80, 2, 0x8a, 10];

/**
 * Whether a file is of this kind.
 *
 * @param beginning Its first bytes
 */
export function isLegacy(beginning: Uint8Array): boolean {
  return BEGINNING.every((byte, i) => beginning[i] === byte);
}

/** The storages in a value, by name; each value is looked at once, however often it is shared. */
function storagesIn(root: Value): ReadonlyMap<string, Storage> {
  const storages = new Map<string, Storage>();
  const seen = new Set<Value>();
  const waiting: Value[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop()!;
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (isKind(value, "tensor")) storages.set(value.storage.key, value.storage);
    else if (value instanceof Map) { for (const each of value.values()) waiting.push(each); }
    else if (Array.isArray(value)) { for (const each of value) waiting.push(each); }
  }
  return storages;
}

/**
 * Reads a file's pickles and finds its storages.
 *
 * @param file The open file
 * @param attempted What is being read, for error lines
 * @throws OneloraError for what torch.save did not write, and for a file of a big-endian machine
 */
export async function readLegacy(file: RangedFile, attempted: string): Promise<Saved> {
  const refuse = (found: string, allowed: string) => new OneloraError({ attempted, found, allowed });
  const bytes = await file.read(0, Math.min(file.bytes, MOST_PICKLE_BYTES));
  const values: Value[] = [];
  let end = 0;
  for (let count = 0; count < 5; count++) {
    const read = unpickle(attempted, bytes, end);
    values.push(read.value);
    end = read.end;
  }
  const [magic, version, facts, value, keys] = values;
  if (magic !== MAGIC || version !== VERSION) {
    throw refuse("another magic number or version", "a file of torch.save");
  }
  if (!(facts instanceof Map) || facts.get("little_endian") !== true) {
    throw refuse("a byte order other than little", "a file of a little-endian machine");
  }
  if (!Array.isArray(keys)) throw refuse("no list of storages", "a file of torch.save");
  const storages = storagesIn(value);
  const spans = new Map<string, Span>();
  let at = end;
  for (const key of keys) {
    // A storage of nothing but what was left out (an optimiser's objects) has no type here to measure it by.
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (storage === undefined) throw refuse("a storage that no tensor uses", "storages of tensors only");
    const count = new DataView((await file.read(at, 8)).buffer).getBigUint64(0, true);
    if (count !== BigInt(storage.count)) throw refuse(`a storage of ${count} elements`, `${storage.count} elements`);
    const span = { begin: at + 8, bytes: storage.count * itemSize(storage.dtype) };
    spans.set(storage.key, span);
    at = span.begin + span.bytes;
  }
  return { value, storageAt: (key) => spans.get(key) };
}

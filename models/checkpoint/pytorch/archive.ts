/**
 * PyTorch's zip archives (torch.save from version 1.6 on): a pickle, and a stored member for each storage.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import { OneloraError } from "../../../dsl/error.ts";
import { guarded, type RangedFile } from "../../../dsl/files/file.ts";
import { show } from "../../../dsl/files/json.ts";
import { unpickle } from "./pickle.ts";
import { MOST_PICKLE_BYTES, type Saved, type Span } from "./record.ts";
// @ts-types="@types/yauzl"
import type { Entry } from "yauzl";
import manifest from "../../../deno.json" with { type: "json" };

/** Most members: many times what real checkpoints have. */
const MOST_MEMBERS = 2 ** 18;

/** Where the members of an archive lie, by name; yauzl is loaded when there is an archive to read. */
async function members(file: RangedFile, attempted: string): Promise<ReadonlyMap<string, Span>> {
  // By its whole name, so that no bundler puts it into a page, which has no such archives.
  const specifier: string = manifest.imports.yauzl;
  const { default: yauzl } = await import(specifier) as { readonly default: typeof import("yauzl") };
  class Reader extends yauzl.RandomAccessReader {
    override read(
      buffer: Buffer,
      offset: number,
      length: number,
      position: number,
      done: (error: Error | null, count?: number) => void,
    ): void {
      file.read(position, length).then((bytes) => {
        buffer.set(bytes, offset);
        done(null, length);
      }, done);
    }
  }
  const archive = await yauzl.fromRandomAccessReaderPromise(new Reader(), file.bytes, { autoClose: false });
  const found = new Map<string, Span>();
  for await (const entry of archive.eachEntry() as AsyncIterable<Entry>) {
    if (entry.compressionMethod !== 0 || entry.isEncrypted()) {
      const allowed = "members that are neither compressed nor encrypted, as torch.save writes them";
      throw new OneloraError({ attempted, found: `${show(entry.fileName)}, compressed or encrypted`, allowed });
    }
    if (found.size === MOST_MEMBERS) throw new RangeError(`more than ${MOST_MEMBERS} members`);
    const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
    found.set(entry.fileName, { begin: fileDataStart, bytes: entry.uncompressedSize });
  }
  return found;
}

/**
 * Reads an archive's pickle and finds its storages.
 *
 * @param file The open file
 * @param attempted What is being read, for error lines
 * @throws OneloraError for what is no archive of torch.save, and for one of a big-endian machine
 */
export async function readArchive(file: RangedFile, attempted: string): Promise<Saved> {
  const found = await guarded(
    attempted,
    "a whole zip archive, as torch.save writes it",
    () => members(file, attempted),
  );
  const pickles = [...found.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    const isScript = pickles.length === 0 && [...found.keys()].some((name) => name.endsWith("/constants.pkl"));
    throw new OneloraError({
      attempted,
      found: isScript ? "a TorchScript program" : `${pickles.length} members named data.pkl`,
      allowed: "a file of torch.save(model.state_dict(), FILE)",
    });
  }
  const folder = pickles[0].slice(0, -"data.pkl".length);
  const read = async (name: string, most: number) => {
    const { begin, bytes } = found.get(name)!;
    if (bytes <= most) return await file.read(begin, bytes);
    throw new OneloraError({ attempted, found: `${name} of ${bytes} bytes`, allowed: `at most ${most} bytes` });
  };
  const order = `${folder}byteorder`;
  if (found.has(order)) {
    const named = new TextDecoder().decode(await read(order, 16));
    if (named !== "little") {
      throw new OneloraError({ attempted, found: `byte order ${show(named)}`, allowed: "little" });
    }
  }
  const { value } = unpickle(attempted, await read(pickles[0], MOST_PICKLE_BYTES));
  return { value, storageAt: (key) => found.get(`${folder}data/${key}`) };
}

/**
 * One file's way into the cache: what a cut connection left is gone on from, and nothing counts as there before its checksum is
 * right.
 *
 * @module
 */
import type { Hash } from "node:crypto";
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { dirname } from "../../dsl/files/path.ts";
import { builtin } from "../../dsl/host.ts";
import { reason, request, watch } from "./request.ts";
import type { Hub } from "./settings.ts";

/** A file of a repository at a commit. */
export interface HubFile {
  /** Its path in the repository. */
  readonly path: string;
  /** Its size, bytes. */
  readonly size: number;
  /** SHA-256 of its bytes if it is large, else git's: SHA-1 of `blob SIZE\0` and its bytes. */
  readonly digest: { readonly algorithm: "sha256" | "git-sha1"; readonly value: string };
}

/** A hash of a file's kind with nothing of the file in it yet. */
function begin({ size, digest: { algorithm } }: HubFile): Hash {
  const { createHash } = builtin("node:crypto");
  return algorithm === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

/** Whether a file is there with this size. */
export async function isThere(path: string, size: number): Promise<boolean> {
  const stat = await Deno.stat(path).catch(() => undefined);
  return stat?.isFile === true && stat.size === size;
}

/** An unfinished file: what is there, and its hash. */
interface Unfinished {
  readonly file: Deno.FsFile;
  bytes: number;
  hash: Hash;
}

/** Starts a file over. */
async function empty(unfinished: Unfinished, wanted: HubFile): Promise<void> {
  await unfinished.file.truncate(0);
  await unfinished.file.seek(0, Deno.SeekMode.Start);
  [unfinished.bytes, unfinished.hash] = [0, begin(wanted)];
}

/** Hashes what an earlier attempt left, and stands at its end. */
async function takeUp(unfinished: Unfinished, wanted: HubFile): Promise<void> {
  const { size } = await unfinished.file.stat();
  if (size > wanted.size) return await empty(unfinished, wanted);
  const buffer = new Uint8Array(2 ** 20);
  while (unfinished.bytes < size) {
    const count = await unfinished.file.read(buffer);
    if (count === null) break;
    unfinished.hash.update(buffer.subarray(0, count));
    unfinished.bytes += count;
  }
}

/** Asks for what is missing; a server that does not know ranges sends all of it. */
async function ask(
  hub: Hub,
  url: string,
  attempted: string,
  unfinished: Unfinished,
  wanted: HubFile,
  signal: AbortSignal,
): Promise<Response> {
  // Ranges and checksums are those of the file's own bytes.
  const headers = { "accept-encoding": "identity" };
  const range = { ...headers, range: `bytes=${unfinished.bytes}-` };
  const response = await request(hub, url, attempted, { headers: unfinished.bytes > 0 ? range : headers, signal });
  const isRest = response.status === 206 &&
    response.headers.get("content-range")?.startsWith(`bytes ${unfinished.bytes}-`);
  if (unfinished.bytes === 0 || isRest) return response;
  await empty(unfinished, wanted);
  if (response.status === 200) return response;
  await response.body?.cancel();
  return await request(hub, url, attempted, { headers, signal });
}

/** Appends what is missing. */
async function complete(
  hub: Hub,
  url: string,
  attempted: string,
  unfinished: Unfinished,
  wanted: HubFile,
): Promise<void> {
  const silence = watch();
  const tell = () => hub.onProgress?.({ file: wanted.path, bytes: unfinished.bytes, total: wanted.size });
  try {
    const { body } = await ask(hub, url, attempted, unfinished, wanted, silence.signal);
    tell();
    const reader = (body ?? new Blob([]).stream()).getReader();
    for (;;) {
      const { value } = await reader.read().catch((error) => {
        throw cutOff(attempted, unfinished, wanted, reason(error));
      });
      if (value === undefined) break;
      silence.renew();
      for (let written = 0; written < value.length;) written += await unfinished.file.write(value.subarray(written));
      unfinished.hash.update(value);
      unfinished.bytes += value.length;
      tell();
      if (unfinished.bytes > wanted.size) return await reader.cancel();
    }
  } finally {
    silence.stop();
  }
  if (unfinished.bytes < wanted.size) throw cutOff(attempted, unfinished, wanted, "the connection's end");
}

function cutOff(attempted: string, { bytes }: Unfinished, { size }: HubFile, why: string): OneloraError {
  const found = `${bytes} of ${size} bytes, then ${why}`;
  return new OneloraError({ attempted, found, allowed: "all of them: run again to go on from there" });
}

/**
 * Fetches a file unless it is there.
 *
 * @param hub Where the hub is
 * @param url The file's address
 * @param wanted Its size and checksum
 * @param path Where it goes
 * @param lockPath A file that whoever fetches this holds a lock on, Hugging Face's tools included
 * @throws OneloraError for a cut connection, a full or unwritable disk, another checksum
 */
export async function transfer(
  hub: Hub,
  url: string,
  wanted: HubFile,
  path: string,
  lockPath: string,
): Promise<void> {
  const attempted = `downloading ${wanted.path}`;
  const allowed = `a folder that can be written and has room for ${wanted.size} bytes; run again to go on`;
  await guarded(`${attempted} to ${path}`, allowed, async () => {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.mkdir(dirname(lockPath), { recursive: true });
    using lock = await Deno.open(lockPath, { write: true, create: true });
    await lock.lock(true);
    if (await isThere(path, wanted.size)) return;
    const partial = `${path}.incomplete`;
    using file = await Deno.open(partial, { read: true, write: true, create: true });
    const unfinished: Unfinished = { file, bytes: 0, hash: begin(wanted) };
    await takeUp(unfinished, wanted);
    if (unfinished.bytes < wanted.size) await complete(hub, url, attempted, unfinished, wanted);
    const found = unfinished.hash.digest("hex");
    if (unfinished.bytes !== wanted.size || found !== wanted.digest.value) {
      await Deno.remove(partial);
      const { algorithm, value } = wanted.digest;
      throw new OneloraError({
        attempted,
        found: `${unfinished.bytes} bytes with ${algorithm} ${found}`,
        allowed: `${wanted.size} bytes with ${algorithm} ${value}: run again to begin anew`,
      });
    }
    await Deno.rename(partial, path);
  });
}

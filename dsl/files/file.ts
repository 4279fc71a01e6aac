/**
 * Files that are read in ranges: the only place where the reader touches the disk.
 *
 * @module
 */
import { messageOf, OneloraError } from "../error.ts";
import { POINTER_BYTES, refusePointer } from "./pointer.ts";
import { type Source, storeOf } from "./store.ts";

/** An open file. */
export interface RangedFile {
  /** Where it is. */
  readonly path: string;
  /** Its size when it was opened, bytes. */
  readonly bytes: number;
  /** Reads `length` bytes from byte `begin`. Calls may overlap: they run one after the other. */
  readonly read: (begin: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;
  /** Waits for running reads, then closes. A second call does nothing. */
  readonly close: () => Promise<void>;
}

/**
 * An action whose failure, of whatever kind, becomes a {@link OneloraError}.
 *
 * @param attempted What the action does, for the error line
 * @param allowed What would have worked
 * @param action The action
 * @throws {OneloraError} where the action fails; one that the action throws itself passes unchanged
 */
export async function guarded<Result>(
  attempted: string,
  allowed: string,
  action: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    const found = cause instanceof Error ? `${cause.name}, ${messageOf(cause)}` : String(cause);
    throw new OneloraError({ attempted, found: found.replace(/\s+/g, " "), allowed }, { cause });
  }
}

/** Bytes asked for at a time: reads of gigabytes at once are several times slower. */
const partBytes = 2 ** 20;

/** Fills an array; a read may stop early, so it goes on until the array is full. */
async function fill(file: Deno.FsFile, begin: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
  await file.seek(begin, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < into.length) {
    const count = await file.read(into.subarray(filled, filled + partBytes));
    if (count === null) throw new RangeError(`the file's end at byte ${begin + filled}`);
    filled += count;
  }
}

/** A regular file of the disk. */
async function openOnDisk(path: string, attempted: string): Promise<Source> {
  // Opening a pipe would wait for a writer, so look first.
  const { isFile } = await Deno.stat(path);
  if (!isFile) throw new OneloraError({ attempted, found: "no regular file", allowed: "a readable file" });
  const file = await Deno.open(path);
  try {
    const { size } = await file.stat();
    return { bytes: size, fill: (begin, into) => fill(file, begin, into), close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Refuses an open file that is a pointer of Git LFS. */
async function refusePointerIn(file: Source, attempted: string): Promise<void> {
  try {
    const bytes = new Uint8Array(file.bytes);
    await file.fill(0, bytes);
    refusePointer(attempted, bytes);
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Opens a regular file for ranged reads.
 *
 * @param path Where it is
 * @throws {OneloraError} for what is missing, not a regular file or may not be read; so does `read`, past the file's end
 */
export async function openRanged(path: string): Promise<RangedFile> {
  const attempted = `reading ${path}`;
  const file = await guarded(
    attempted,
    "a readable file",
    () => storeOf(path)?.open(path) ?? openOnDisk(path, attempted),
  );
  if (file.bytes <= POINTER_BYTES) await refusePointerIn(file, attempted);
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  return {
    path,
    bytes: file.bytes,
    read: (begin, length) => {
      const next = last.then(() =>
        guarded(attempted, `${length} bytes from byte ${begin} of an open file, in memory`, async () => {
          if (closed) throw new OneloraError({ attempted, found: "a closed file", allowed: "reads before close" });
          const into = new Uint8Array(length);
          await file.fill(begin, into);
          return into;
        })
      );
      last = next.catch(() => undefined);
      return next;
    },
    close: async () => {
      await last;
      if (closed) return;
      closed = true;
      file.close();
    },
  };
}

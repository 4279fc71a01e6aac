/**
 * A folder that belongs to one process at a time.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { guarded } from "./file.ts";
import { isObject, show } from "./json.ts";
import { join } from "./path.ts";
import { clearLeftovers, makeFolder, refuseLinks } from "./write.ts";

/** A folder that is this process's own until it is disposed. */
export interface Claim extends Disposable {
  /** The folder. */
  readonly folder: string;
  /** Why nothing keeps others out, where the file system has no locks. */
  readonly note?: string;
}

/** A folder that somebody else has. */
export class FolderInUse extends OneloraError {}

/** Name of the file that the owner of a folder holds a lock on. */
const LOCK = ".onelora.lock";

/** Most bytes of a lock file that are read. */
const MOST = 4096;

/** This machine's name, as far as the process may know it. */
function hostName(): string {
  try {
    return Deno.hostname();
  } catch {
    return "this machine";
  }
}

/** Who holds a lock, in words, from what they wrote into its file. */
function holderOf(path: string): string {
  try {
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(MOST);
    const record: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0)));
    if (!isObject(record)) return "another process";
    const { purpose, pid, host, since } = record;
    return `${purpose} of process ${show(pid)} on ${host} since ${since}`;
  } catch {
    // It has not written yet, or the system lets nobody else read a locked file.
    return "another process";
  }
}

/** Refuses links in a folder that a run writes to, and clears what killed runs left, some levels deep. */
function inspect(attempted: string, folder: string, levels: number): void {
  for (const { name, isSymlink, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isSymlink) {
      throw new OneloraError({
        attempted,
        found: `a link at ${path}`,
        allowed: "a folder of files and folders, no links",
      });
    }
    if (isDirectory && levels > 1) inspect(attempted, path, levels - 1);
  }
  clearLeftovers(folder);
}

/** The lock's file, opened without following a link, made if there is none. */
function openLock(attempted: string, path: string): Deno.FsFile {
  refuseLinks(attempted, path);
  try {
    return Deno.openSync(path, { read: true, write: true, createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    return Deno.openSync(path, { read: true, write: true });
  }
}

/** Whether an open file is still the one of its name. */
function isStill(file: Deno.FsFile, path: string): boolean {
  try {
    const [own, named] = [file.statSync(), Deno.lstatSync(path)];
    return own.ino === named.ino && own.dev === named.dev;
  } catch {
    return false;
  }
}

/** Takes the lock; undefined where the file system has none. */
function take(attempted: string, path: string): Deno.FsFile | undefined {
  // A holder that ends removes its file, which may be the one that was just opened: look again.
  for (;;) {
    const file = openLock(attempted, path);
    let isTaken: boolean;
    try {
      isTaken = file.tryLockSync(true);
    } catch {
      file.close();
      Deno.removeSync(path);
      return undefined;
    }
    if (isTaken && isStill(file, path)) return file;
    file.close();
    if (isTaken) continue;
    throw new FolderInUse({ attempted, found: holderOf(path), allowed: "another folder, or waiting until that ends" });
  }
}

/** Writes down who holds a lock. */
function sign(file: Deno.FsFile, purpose: string): void {
  const record = { purpose, pid: Deno.pid, host: hostName(), since: new Date().toISOString() };
  file.truncateSync(0);
  file.writeSync(new TextEncoder().encode(`${JSON.stringify(record)}\n`));
}

/**
 * Makes a folder this process's own: a second process that claims it is refused, and told who has it. The claim of a process
 * that has died is free. Half-written files of earlier owners are removed, links in the folder and in those below it refused.
 *
 * @param folder Made if it does not exist, and removed at the end of the claim if nothing came into it
 * @param purpose What for, as the holder is named to others: `train`
 * @throws OneloraError for a folder that somebody else has, that has links in it, or that cannot be written
 *
 * @example
 * ```ts
 * import { claimFolder } from "./claim.ts";
 * import { assertRejects } from "@std/assert";
 * const folder = await Deno.makeTempDir();
 * {
 *   using claim = await claimFolder(folder, "train");
 *   await assertRejects(() => claimFolder(claim.folder, "report"), Error, "train of process");
 * }
 using again = await claimFolder(folder, "report");
 * ```
 */
export async function claimFolder(folder: string, purpose: string): Promise<Claim> {
  const attempted = `${purpose} in ${folder}`;
  return await guarded(attempted, "a folder that can be written", async () => {
    const isNew = await Deno.stat(folder).then(() => false, () => true);
    await makeFolder(folder);
    const path = join(folder, LOCK);
    const lock = take(attempted, path);
    const release = () => {
      if (lock !== undefined) {
        try {
          // Removed while it is held, so that nobody locks a file that is about to go.
          Deno.removeSync(path);
        } catch {
          // Somebody has removed the folder: what that made fail is the error to tell.
        }
        lock.close();
      }
      if (!isNew) return;
      try {
        Deno.removeSync(folder);
      } catch {
        // Something came into it.
      }
    };
    try {
      if (lock !== undefined) sign(lock, purpose);
      inspect(attempted, folder, 2);
    } catch (error) {
      release();
      throw error;
    }
    const note = lock === undefined ? "this file system has no locks: nothing keeps a second run out" : undefined;
    return { folder, note, [Symbol.dispose]: release };
  });
}

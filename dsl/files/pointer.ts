/**
 * Pointers of Git LFS: what a clone without LFS has in the place of large files.
 *
 * @module
 */
import { OneloraError } from "../error.ts";

/** How a pointer begins (git-lfs.com, its specification). */
const BEGINNING = "version https://git-lfs.github.com/spec/v1";

/** Bytes of a pointer at most. */
export const POINTER_BYTES: number = 2 ** 10;

/** What a pointer is, in words. */
export const POINTER: string = "a pointer of Git LFS, not the file itself: `git lfs pull` brings it";

/** How pointers begin, as a pattern of a file's first characters. */
export const POINTER_PATTERN: RegExp = new RegExp(`^${BEGINNING.replaceAll(".", "\\.")}`);

/**
 * Refuses a pointer of Git LFS.
 *
 * @param attempted What is being read, for the error line
 * @param bytes The whole file, or its first {@linkcode POINTER_BYTES} bytes
 * @throws OneloraError for a pointer
 */
export function refusePointer(attempted: string, bytes: Uint8Array): void {
  if (bytes.length < BEGINNING.length || bytes.length > POINTER_BYTES) return;
  if (!POINTER_PATTERN.test(new TextDecoder().decode(bytes))) return;
  throw new OneloraError({ attempted, found: POINTER, allowed: "the file" });
}

/**
 * Downloads to a file, checked against a digest while they stream, never whole in memory.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { OneloraError } from "../../../dsl/error.ts";

/** What a file's bytes must hash to. */
export interface Digest {
  /** The hash function. */
  readonly algorithm: "sha256" | "sha512";
  /** Its value in hexadecimal. */
  readonly value: string;
}

/**
 * A digest written in base64.
 *
 * @param algorithm The hash function
 * @param base64 Its value
 */
export function base64Digest(algorithm: Digest["algorithm"], base64: string): Digest {
  return { algorithm, value: Uint8Array.fromBase64(base64).toHex() };
}

/** How long a server may take to begin its answer, in milliseconds. */
const patience = 20_000;

/** One line for whatever a request failed with: a missing permission, an unknown host, a refused connection. */
function networkProblem(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  const line = (cause?.message ?? message ?? String(error)).split("\n")[0];
  return `no answer (${line.split(/client error \(\w+\): /).pop()})`;
}

/**
 * Sends a request.
 *
 * @param url Address, with a user name and password where the server wants them
 * @param attempted What the request is for, as the beginning of an error's line
 * @param init As for `fetch`
 * @throws {OneloraError} when there is no answer, or one other than success
 */
export async function request(url: string | URL, attempted: string, init: RequestInit = {}): Promise<Response> {
  const address = new URL(url);
  const headers = new Headers(init.headers);
  if (address.username) {
    const [name, password] = [address.username, address.password].map(decodeURIComponent);
    headers.set("Authorization", `Basic ${btoa(`${name}:${password}`)}`);
    address.username = address.password = "";
  }
  const where = `${attempted} from ${address.host}`;
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`none in ${patience / 1000} s`)), patience);
  const response = await fetch(address, { ...init, headers, signal: silence.signal }).catch((error) => {
    throw new OneloraError({ attempted: where, found: networkProblem(error), allowed: "a host that answers" });
  }).finally(() => clearTimeout(timer));
  if (response.ok) return response;
  await response.body?.cancel();
  throw new OneloraError({
    attempted: where,
    found: `HTTP status ${response.status}`,
    allowed: "a file that is there",
  });
}

/** Digest of a file, or undefined where there is none. */
async function digestOf(path: string, algorithm: Digest["algorithm"]): Promise<string | undefined> {
  try {
    using file = await Deno.open(path);
    const hash = createHash(algorithm);
    for await (const chunk of file.readable) hash.update(chunk);
    return hash.digest("hex");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Seconds after which a partial file that nothing more came into is nobody's. */
const ABANDONED = 600;

/** Removes what a process that was killed had downloaded of a file. */
async function clearPartials(path: string): Promise<void> {
  const [folder, name] = [dirname(path), basename(path)];
  for await (const entry of Deno.readDir(folder)) {
    if (!entry.isFile || !entry.name.startsWith(`${name}.`) || !entry.name.endsWith(".tmp")) continue;
    const partial = join(folder, entry.name);
    // Another process may have removed it, too.
    const written = await Deno.stat(partial).then(({ mtime }) => mtime?.getTime() ?? Infinity, () => Infinity);
    if (Date.now() - written > ABANDONED * 1000) await Deno.remove(partial).catch(() => {});
  }
}

/**
 * Downloads a file unless it is there already with the right digest.
 *
 * @param url Address
 * @param path Where it goes; nothing is there before it is complete and verified
 * @param digest What its bytes must hash to
 * @throws {OneloraError} when it cannot be had, or its digest is another
 */
export async function download(
  url: string,
  path: string,
  digest: Digest,
): Promise<void> {
  if (await digestOf(path, digest.algorithm) === digest.value) return;
  const attempted = `downloading ${new URL(url).pathname.split("/").pop()}`;
  const response = await request(url, attempted);
  await Deno.mkdir(dirname(path), { recursive: true });
  await clearPartials(path);
  const partial = `${path}.${crypto.randomUUID()}.tmp`;
  const hash = createHash(digest.algorithm);
  const hashing = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      hash.update(chunk);
      controller.enqueue(chunk);
    },
  });
  try {
    const file = await Deno.open(partial, { write: true, createNew: true });
    await response.body!.pipeThrough(hashing).pipeTo(file.writable);
    const found = hash.digest("hex");
    if (found !== digest.value) {
      const { algorithm, value } = digest;
      throw new OneloraError({ attempted, found: `${algorithm} ${found}`, allowed: `${algorithm} ${value}` });
    }
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {});
    if (error instanceof OneloraError) throw error;
    throw new OneloraError({ attempted, found: networkProblem(error), allowed: "a complete download" });
  }
}

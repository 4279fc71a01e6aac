/**
 * tfjs-wasm's memory as memory that threads share. Its binary declares a memory of its own with a maximum; one flag in that
 * declaration decides whether the memory is a SharedArrayBuffer, and everything else works unchanged.
 *
 * @module
 */

/** The memory section of tfjs-wasm's binaries: id 5, 7 bytes, one memory, flags 1, 256 to 65536 pages. */
const DECLARED = [0x05, 0x07, 0x01, 0x01, 0x80, 0x02, 0x80, 0x80, 0x04];
/** Where the flags are in it, and their value for shared memory. */
const [FLAGS, SHARED] = [3, 3];

/** Where a pattern begins in bytes, if it does exactly once. */
function placeOf(pattern: readonly number[], bytes: Uint8Array): number | undefined {
  let found: number | undefined;
  for (let at = bytes.indexOf(pattern[0]); at !== -1; at = bytes.indexOf(pattern[0], at + 1)) {
    if (!pattern.every((byte, i) => bytes[at + i] === byte)) continue;
    if (found !== undefined) return undefined;
    found = at;
  }
  return found;
}

/**
 * A binary whose memory is shared; the binary itself where it declares none as tfjs-wasm's do.
 *
 * @param source The binary
 */
export function withSharedMemory(source: BufferSource): Uint8Array<ArrayBuffer> {
  const view = ArrayBuffer.isView(source) ? source : new Uint8Array(source);
  const bytes = new Uint8Array(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  const at = placeOf(DECLARED, bytes);
  if (at !== undefined) bytes[at + FLAGS] = SHARED;
  return bytes;
}

/** The import of a memory of 256 to 65536 pages in our own kernels, and where its flags are. */
const IMPORTED = [0x02, 0x01, 0x80, 0x02, 0x80, 0x80, 0x04];

/**
 * Our kernels, for a shared memory.
 *
 * @param code The kernels' binary, which imports a memory; changed in place
 */
export function importShared(code: Uint8Array): void {
  const at = placeOf(IMPORTED, code);
  if (at !== undefined) code[at + 1] = SHARED;
}

/**
 * Runs an action during which every WebAssembly binary that is instantiated gets a shared memory: tfjs-wasm compiles its own
 * and gives nobody a say in it.
 *
 * @param action What instantiates tfjs-wasm
 */
export async function sharingMemory<Result>(action: () => Promise<Result>): Promise<Result> {
  const { instantiate, instantiateStreaming } = WebAssembly;
  const patched = (source: BufferSource | WebAssembly.Module, imports?: WebAssembly.Imports) =>
    source instanceof WebAssembly.Module
      ? instantiate(source, imports)
      : instantiate(withSharedMemory(source), imports) as Promise<unknown>;
  const streamed = async (source: Response | PromiseLike<Response>, imports?: WebAssembly.Imports) =>
    await patched(await (await source).arrayBuffer(), imports);
  Object.assign(WebAssembly, { instantiate: patched, instantiateStreaming: streamed });
  try {
    return await action();
  } finally {
    Object.assign(WebAssembly, { instantiate, instantiateStreaming });
  }
}

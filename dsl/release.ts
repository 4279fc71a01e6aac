/**
 * Memory of arrays that is given back at once, rather than when JavaScript next looks for garbage: while a model is read, that is
 * after gigabytes.
 *
 * @module
 */

/**
 * Gives the memory of arrays back, those that have a buffer to themselves. Nobody may read them afterwards.
 *
 * @param arrays The arrays
 */
export function release(...arrays: readonly ArrayBufferView[]): void {
  for (const { buffer, byteLength } of arrays) {
    if (buffer instanceof ArrayBuffer && !buffer.detached && byteLength === buffer.byteLength) buffer.transfer(0);
  }
}

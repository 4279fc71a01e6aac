import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { type Allocator, refuseBeyond } from "../../dsl/engine/wasm/memory.ts";

const MB = 1e6;

/** An allocator that takes the first gap, else goes on behind the last block and counts modulo 2^32, as tfjs-wasm's does. */
function allocator(): Allocator & { readonly blocks: Map<number, number> } {
  const blocks = new Map<number, number>();
  return {
    blocks,
    _malloc: (bytes) => {
      let at = 1024;
      for (const [address, length] of [...blocks].sort(([a], [b]) => a - b)) {
        if (address - at >= bytes) break;
        at = address + length;
      }
      blocks.set(at % 2 ** 32, bytes);
      return at | 0;
    },
    _free: (address) => void blocks.delete(address >>> 0),
  };
}

Deno.test("what the wasm backend has no memory for is refused before anything is overwritten", () => {
  const wasm = allocator();
  refuseBeyond(wasm);
  const addresses = Array.from({ length: 16 }, () => wasm._malloc(256 * MB));
  const before = [...wasm.blocks];
  const error = assertThrows(() => wasm._malloc(256 * MB), OneloraError);
  assertStringIncludes(
    error.message,
    "taking 256 MB more of the wasm backend's memory: found 4096 MB of 4295 MB taken",
  );
  assertEquals([...wasm.blocks], before);
  // Small ones still fit, and what is given back is there again.
  wasm._free(wasm._malloc(MB));
  wasm._free(addresses[5]);
  wasm._free(addresses[6]);
  assertEquals(wasm._malloc(400 * MB), addresses[5]);
  assertThrows(() => wasm._malloc(200 * MB), OneloraError);
});

Deno.test("an allocator that has nothing is not taken at its word", () => {
  const wasm: Allocator = { _malloc: () => 0, _free: () => {} };
  refuseBeyond(wasm);
  assertThrows(() => wasm._malloc(8), OneloraError, "the wasm backend's memory");
  assertEquals(wasm._malloc(0), 0);
});

Deno.test("the wasm backend's memory is guarded", async () => {
  await useBackend("wasm");
  const before = tf.memory().numTensors;
  assertThrows(
    () => tf.tidy(() => tf.relu(tf.fill([2 ** 20, 1025], 0))),
    OneloraError,
    "taking 4300 MB more of the wasm backend's memory",
  );
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("copies on the wasm backend share the bytes of what they are copies of, for as long as one of them is there", async () => {
  await useBackend("wasm");
  const backend = tf.backend() as BackendWasm;
  const before = tf.memory();
  const x = tf.tensor2d([[1, 2, 3], [4, 5, 6]]);
  const copies = [tf.clone(x), tf.clone(x), tf.reshape(x, [3, 2])];
  for (const copy of copies) assertEquals(backend.getMemoryOffset(copy.dataId), backend.getMemoryOffset(x.dataId));
  assertEquals(tf.memory().numDataBuffers - before.numDataBuffers, 1);
  x.dispose();
  copies[0].dispose();
  const other = tf.fill([2, 3], 9);
  assertEquals([...copies[1].dataSync()], [1, 2, 3, 4, 5, 6]);
  assertEquals(copies[2].arraySync(), [[1, 2], [3, 4], [5, 6]]);
  tf.dispose([other, ...copies.slice(1)]);
  const { numTensors, numDataBuffers } = tf.memory();
  assertEquals([numTensors, numDataBuffers], [before.numTensors, before.numDataBuffers]);
});

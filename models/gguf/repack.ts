/**
 * Forms of ggml's blocks that no engine here computes with, as others that hold the very same numbers: only the room that they
 * take is larger.
 *
 * @module
 */
import { BLOCKS } from "../../dsl/blocks.ts";

/** A form that is read as another. */
export interface Packing {
  /** Its name. */
  readonly name: string;
  /** Its number in GGUF files. */
  readonly code: number;
  /** Numbers in a block. */
  readonly size: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** What it is read as. */
  readonly into: "q8_0" | "q6_k" | "F32";
  /** Makes a block. */
  readonly make: (from: DataView, at: number, into: DataView, to: number) => void;
}

/** What IQ4_NL's numbers of four bits stand for. */
const VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** w = d VALUES[q], which is q8_0's d q. */
function fromIq4Nl(from: DataView, at: number, into: DataView, to: number): void {
  into.setUint16(to, from.getUint16(at, true), true);
  for (let i = 0; i < 16; i++) {
    const byte = from.getUint8(at + 2 + i);
    into.setInt8(to + 2 + i, VALUES[byte & 15]);
    into.setInt8(to + 18 + i, VALUES[byte >> 4]);
  }
}

/** Where a number of 2 bits of a block of 256 lies: its byte, and by how much that is shifted. */
function pairOf(i: number): readonly [byte: number, shift: number] {
  return [32 * (i >> 7) + (i & 31), 2 * (i >> 5 & 3)];
}

/** Six-bit scale j of 16, from twelve bytes: four bits, then two. */
function scaleOf(from: DataView, at: number, j: number): number {
  const low = from.getUint8(at + (j & 7)) >> (j < 8 ? 0 : 4) & 15;
  return low | (from.getUint8(at + 8 + (j & 3)) >> 2 * (j >> 2) & 3) << 4;
}

/** w = d (s - 32) (q - 4), of groups of 16, which is q6_k's d s (q - 32). */
function fromQ3K(from: DataView, at: number, into: DataView, to: number): void {
  for (let i = 0; i < 208; i++) into.setUint8(to + i, 0);
  for (let i = 0; i < 256; i++) {
    const [byte, shift] = pairOf(i);
    const high = from.getUint8(at + (i & 31)) >> (i >> 5) & 1;
    const code = (from.getUint8(at + 32 + byte) >> shift & 3 | high << 2) + 28;
    const [half, within] = [i >> 7, i & 127];
    const low = to + 64 * half + (within & 63);
    into.setUint8(low, into.getUint8(low) | (code & 15) << (within < 64 ? 0 : 4));
    const top = to + 128 + 32 * half + (within & 31);
    into.setUint8(top, into.getUint8(top) | code >> 4 << 2 * (within >> 5));
  }
  for (let j = 0; j < 16; j++) into.setInt8(to + 192 + j, scaleOf(from, at + 96, j) - 32);
  into.setUint16(to + 208, from.getUint16(at + 108, true), true);
}

/** w = d s q - e m, of groups of 16, in float32's steps as ggml takes them. */
function fromQ2K(from: DataView, at: number, into: DataView, to: number): void {
  const { fround } = Math;
  const [d, e] = [from.getFloat16(at + 80, true), from.getFloat16(at + 82, true)];
  for (let i = 0; i < 256; i++) {
    const scales = from.getUint8(at + (i >> 4));
    const [byte, shift] = pairOf(i);
    const code = from.getUint8(at + 16 + byte) >> shift & 3;
    into.setFloat32(to + 4 * i, fround(fround(d * (scales & 15)) * code) - fround(e * (scales >> 4)), true);
  }
}

/** The forms. */
export const packings: readonly Packing[] = [
  { name: "Q2_K", code: 10, size: 256, bytes: 84, into: "F32", make: fromQ2K },
  { name: "Q3_K", code: 11, size: 256, bytes: 110, into: "q6_k", make: fromQ3K },
  { name: "IQ4_NL", code: 20, size: 32, bytes: 18, into: "q8_0", make: fromIq4Nl },
];

/**
 * Bytes of what a form's block is read as.
 *
 * @param packing The form
 */
export function repackedBytes({ size, into }: Packing): number {
  return into === "F32" ? 4 * size : BLOCKS[into].bytes;
}

/**
 * Blocks of a form as what they are read as.
 *
 * @param packing The form
 * @param bytes Its blocks
 */
export function repacked(packing: Packing, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const each = repackedBytes(packing);
  const count = bytes.length / packing.bytes;
  const made = new Uint8Array(count * each);
  const [from, into] = [bytes, made].map(({ buffer, byteOffset, byteLength }) =>
    new DataView(buffer, byteOffset, byteLength)
  );
  for (let i = 0; i < count; i++) packing.make(from, i * packing.bytes, into, i * each);
  return made;
}

/**
 * The thread that decodes pictures for the main one: it is given bytes and reads no files.
 *
 * @module
 */
import { decodeBytes, decodeMapBytes } from "./decode.ts";
import type { Decoded, Decoding } from "./decode_apart.ts";
import { buffersIn, faultOf } from "./messages.ts";
import { loadSharp } from "./sharp.ts";

const channel = globalThis as unknown as {
  onmessage: ((event: MessageEvent<Decoding>) => void) | null;
  postMessage(message: Decoded, transfer: ArrayBuffer[]): void;
};

async function decoded({ id, bytes, name, kind, turn }: Decoding): Promise<Decoded> {
  try {
    const sharp = await loadSharp();
    const result = kind === "picture"
      ? await decodeBytes(sharp, bytes, name, turn)
      : await decodeMapBytes(sharp, bytes, name, kind);
    return { id, result };
  } catch (error) {
    return { id, fault: faultOf(error) };
  }
}

channel.onmessage = async ({ data }) => {
  const answer = await decoded(data);
  channel.postMessage(answer, [...buffersIn(answer)]);
};

/**
 * Processes of a job without processes: functions of one program that wait for each other.
 *
 * @module
 */
import { addPairs, type Ranks } from "../../dsl/ranks.ts";

/**
 * Ranks that talk within this program.
 *
 * @param size How many
 */
export function ranksInMemory(size: number): readonly Ranks[] {
  const rounds: { readonly given: Uint8Array[]; readonly all: PromiseWithResolvers<readonly Uint8Array[]> }[] = [];
  return Array.from({ length: size }, (_, rank): Ranks => {
    let round = 0;
    const gather = (bytes: Uint8Array): Promise<readonly Uint8Array[]> => {
      const { given, all } = rounds[round++] ??= { given: [], all: Promise.withResolvers() };
      given[rank] = bytes.slice();
      if (Object.keys(given).length === size) all.resolve(given);
      return all.promise;
    };
    return {
      rank,
      size,
      gather,
      broadcast: async (bytes) => (await gather(bytes))[0].slice(),
      sum: async (values) => {
        const all = await gather(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
        const each = all.map((bytes) => new Float32Array(bytes.slice().buffer));
        values.set(addPairs(each));
      },
    };
  });
}

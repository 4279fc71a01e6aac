/**
 * Reading texts on, token by token: the model, and the keys and values of what was read, stay with the engine. Rows,
 * lengths and room come in few sizes, so that few programs are made.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type RecurrentFunction, startRecurrent, typesOf, type ValueType } from "../../dsl/compile/mod.ts";
import { planRecurrent, type RecurrentPlan, type RecurrentPlanOptions } from "../../dsl/compile/plan_recurrent.ts";
import { engineInUse } from "../../dsl/engine/in_use.ts";
import type { EngineKind } from "../../dsl/engine/interface.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import { apply } from "../../dsl/apply.ts";
import { join, mapTree, type Params, type Path, type Tree } from "../../dsl/tree.ts";
import type { CausalLanguageModel, Places } from "./language_model.ts";

/** Texts that are being read, several at a time. */
export interface Decoder {
  /** V. */
  readonly vocabulary: number;
  /**
   * Begins with texts, and forgets those before.
   *
   * @param prompts Token ids of each row
   * @param room Tokens that are likely to follow; more may
   * @returns Logits of what comes after each, [rows, V]
   */
  readonly begin: (prompts: readonly (readonly number[])[], room: number) => Promise<Float32Array>;
  /**
   * Reads one more token of each row.
   *
   * @param tokens A token of each row
   * @returns Logits of what comes after each, [rows, V]
   */
  readonly next: (tokens: readonly number[]) => Promise<Float32Array>;
  /**
   * Continues with some rows only.
   *
   * @param rows Which, in order
   */
  readonly keep: (rows: readonly number[]) => void;
  /** Frees everything but the parameters. */
  readonly dispose: () => void;
}

/** Options of {@linkcode openDecoder}. */
export interface DecoderOptions {
  /** Precision of weights and matrix products (default float32). */
  readonly precision?: Precision;
}

/** The sizes that lengths are rounded up to: powers of two, and what lies halfway between. */
function roundedUp(length: number, least: number): number {
  let size = least;
  while (size < length) size = size % 3 === 0 ? size / 3 * 4 : size / 2 * 3;
  return size;
}

/** The smallest of them for columns that there are. */
const LEAST_ROOM = 64;

/** The smallest of them for tokens that are given. */
function leastLength({ readsShort }: Pick<EngineKind, "readsShort">): number {
  return readsShort ? 2 : 16;
}

/**
 * Tokens that room is made for at first.
 *
 * @param rows Texts at a time
 */
export function likelyTokens(rows: number): number {
  return rows <= 2 ? 512 : 128;
}

/** The powers of two that numbers of rows are rounded up to. */
function rowsFor(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}

/** The model as a recurrent function: ids, angles and a mask in; logits out; keys and values added. */
function recurrent(model: CausalLanguageModel): RecurrentFunction {
  return (params, kept, { ids, cos, sin, mask }) => {
    const added: Record<Path, tf.Tensor> = {};
    // Where the mask is as wide as what is new, there is nothing before it.
    const isFirst = mask.shape[3] === ids.shape[1];
    const logits = apply(model, params)(ids, undefined, {
      surroundings: { angles: { cos, sin }, mask },
      remember: (layer, key, value) => {
        const [ofKey, ofValue] = [join(layer, "key"), join(layer, "value")];
        [added[ofKey], added[ofValue]] = [key, value];
        return isFirst ? undefined : { key: kept[ofKey], value: kept[ofValue] };
      },
    });
    return [{ logits: tf.reshape(logits, [ids.shape[0], -1]) }, added];
  };
}

/** Shapes of a row's keys and values by name, [KV, hd]; nothing is computed. */
function sizesOf(
  model: CausalLanguageModel,
  types: Tree<ValueType>,
): ReadonlyMap<Path, readonly [number, number]> {
  const made = typesOf((tree) => {
    const added: Record<Path, tf.Tensor> = {};
    apply(model, tree)(tf.zeros([1, 1], "int32"), undefined, {
      surroundings: model.surroundings({ queries: [0], keys: [[0]], length: 1 }),
      remember: (layer, key, value) => {
        [added[join(layer, "key")], added[join(layer, "value")]] = [key, value];
        return undefined;
      },
    });
    return added;
  }, types);
  return new Map(Object.entries(made).map(([name, { shape }]) => [name, [shape[1], shape[3]]]));
}

/** Settings of {@linkcode planDecoding}. */
export interface DecodingPlanOptions extends RecurrentPlanOptions {
  /** Texts at a time. */
  readonly rows: number;
  /** Tokens that are given. */
  readonly length: number;
  /** Tokens that are to come. */
  readonly tokens: number;
}

/**
 * The memory of reading texts and going on with them; nothing is allocated.
 *
 * @param model The model
 * @param types Types of its parameters
 * @param options See {@linkcode DecodingPlanOptions}
 */
export function planDecoding(
  model: CausalLanguageModel,
  types: Tree<ValueType>,
  { rows, length, tokens, ...options }: DecodingPlanOptions,
): RecurrentPlan {
  const [given, batch] = [roundedUp(length, leastLength(engineKind(options.backend))), rowsFor(rows)];
  const room = roundedUp(given + Math.min(tokens, likelyTokens(rows)), LEAST_ROOM);
  const float = (...shape: number[]): ValueType => ({ shape, dtype: "float32" });
  const sizes = sizesOf(model, types);
  const kept = Object.fromEntries([...sizes].map(([name, [heads, size]]) => [name, float(batch, heads, room, size)]));
  const [[, size]] = sizes.values();
  const planned = (count: number, before: number) =>
    planRecurrent(recurrent(model), {
      parameters: types,
      kept,
      input: {
        ids: { shape: [batch, count], dtype: "int32" },
        cos: float(count, size),
        sin: float(count, size),
        mask: float(batch, 1, count, before + count),
      },
    }, { ...options, continues: { inBlocks: before > 0 } });
  const [first, next] = [planned(given, 0), planned(1, room)];
  // Both programs are there at once.
  const [large, small] = first.peakBytes > next.peakBytes ? [first, next] : [next, first];
  const programBytes = large.programBytes + small.programBytes;
  const processBytes = large.processBytes + small.programBytes;
  return { ...large, calls: first.calls + next.calls, programBytes, processBytes };
}

/** Where the texts are. */
interface Standing {
  /** Columns that are filled, padding included. */
  readonly at: number;
  /** Columns there are. */
  readonly room: number;
  /** Columns that are padding for all rows, so that lengths come in few sizes. */
  readonly unused: number;
  /** Columns of padding of each row, the unused ones included. */
  readonly padding: readonly number[];
  /** The places of the rows that count; the others fill up to a size. */
  readonly slots: readonly number[];
}

/**
 * Makes a model ready to read texts.
 *
 * @param model The model
 * @param params Its parameters, which must outlive the decoder
 * @param options See {@linkcode DecoderOptions}
 */
export function openDecoder(model: CausalLanguageModel, params: Params, options: DecoderOptions = {}): Decoder {
  const running = startRecurrent(recurrent(model), params, {
    precision: options.precision,
    blocks: ({ ids }) => ids.shape[1] === 1,
  });
  const sizes = sizesOf(model, mapTree(({ shape, dtype }: tf.Tensor): ValueType => ({ shape, dtype }))(params));
  let standing: Standing = { at: 0, room: 0, unused: 0, padding: [], slots: [] };

  /** Reads columns `at` to `at + N` of all rows. */
  const read = async (ids: readonly (readonly number[])[]): Promise<Float32Array> => {
    const { at, room, unused, padding, slots } = standing;
    const count = ids[0].length;
    const queries = Array.from({ length: count }, (_, n) => Math.max(0, at + n - unused));
    const before = at === 0 ? 0 : room;
    const keys = padding.map((pad): Places["keys"][number] => {
      const row = new Int32Array(before + count).fill(-1);
      for (let column = pad; column < at; column++) row[column] = column - unused;
      for (let n = Math.max(0, pad - at); n < count; n++) row[before + n] = at + n - unused;
      return row;
    });
    const input = tf.tidy(() => {
      const { angles: { cos, sin }, mask } = model.surroundings({ queries, keys, length: at + count - unused });
      return {
        ids: tf.tensor2d(ids.map((row) => [...row]), undefined, "int32"),
        cos,
        sin,
        mask: mask ?? tf.zeros([ids.length, 1, count, before + count]),
      };
    });
    try {
      const { logits } = running.call(input, at);
      standing = { ...standing, at: at + count };
      const values = await logits.data<"float32">();
      logits.dispose();
      const width = values.length / ids.length;
      if (slots.every((slot, i) => slot === i)) return values.subarray(0, slots.length * width);
      const chosen = new Float32Array(slots.length * width);
      slots.forEach((slot, i) => chosen.set(values.subarray(slot * width, (slot + 1) * width), i * width));
      return chosen;
    } finally {
      tf.dispose(input);
    }
  };

  /** What is kept, in other rows and with other room. */
  const rearrange = (rows: readonly number[], room: number) => {
    const kept = running.kept();
    const chosen = tf.tensor1d([...rows], "int32");
    const { room: had } = standing;
    const isSame = rows.length === standing.padding.length && rows.every((row, i) => row === i);
    const moved = Object.fromEntries(
      Object.entries(kept).map(([name, tensor]) =>
        [
          name,
          tf.tidy(() => {
            const gathered = isSame ? tensor : tf.gather(tensor, chosen);
            return room === had ? tf.clone(gathered) : tf.pad(gathered, [[0, 0], [0, 0], [0, room - had], [0, 0]]);
          }),
        ] as const
      ),
    );
    tf.dispose([chosen, kept as Record<Path, tf.Tensor>]);
    running.keep(moved);
    standing = { ...standing, room, padding: rows.map((row) => standing.padding[row]) };
  };

  const filled = <T>(rows: readonly T[], size: number): readonly T[] =>
    Array.from({ length: size }, (_, i) => rows[Math.min(i, rows.length - 1)]);

  return {
    vocabulary: model.parts.lm_head.params.weight.shape[0],
    begin: (prompts, likely) => {
      const longest = Math.max(...prompts.map(({ length }) => length));
      const length = roundedUp(longest, leastLength(engineInUse()));
      const room = roundedUp(length + likely, LEAST_ROOM);
      const all = filled(prompts, rowsFor(prompts.length));
      const padding = all.map((ids) => length - ids.length);
      standing = { at: 0, room, unused: length - longest, padding, slots: prompts.map((_, row) => row) };
      running.clear(
        Object.fromEntries(
          [...sizes].map((
            [name, [heads, size]],
          ) => [name, { shape: [all.length, heads, room, size], dtype: "float32" }]),
        ),
      );
      return read(all.map((ids, row) => [...Array<number>(padding[row]).fill(0), ...ids]));
    },
    next: (tokens) => {
      const { at, room, padding, slots } = standing;
      if (at === room) rearrange(padding.map((_, row) => row), room * 2);
      const ids = padding.map(() => [0]);
      slots.forEach((slot, i) => ids[slot] = [tokens[i]]);
      return read(ids);
    },
    keep: (rows) => {
      const size = rowsFor(rows.length);
      // Rows that ended are read on until a smaller size does.
      if (size < standing.padding.length) {
        rearrange(filled(rows.map((row) => standing.slots[row]), size), standing.room);
        standing = { ...standing, slots: rows.map((_, i) => i) };
      } else standing = { ...standing, slots: rows.map((row) => standing.slots[row]) };
    },
    dispose: running.dispose,
  };
}

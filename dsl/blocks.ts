/**
 * Weights in ggml's blocks (github.com/ggml-org/ggml, `ggml-quants.c`), which GGUF files hold: 32 or 256 neighbours of a row
 * share a scale in half precision.
 *
 *     w = d s q' - e m            q' = q - offset, q whole, of 4, 5, 6 or 8 bits
 *
 * d and e are a block's, s and m a group's, of 16 or 32 numbers, where a form has groups; e m stands for -d's companion in the
 * forms with a minimum. An engine that computes with whole arrays has each part of all blocks together.
 *
 * @module
 */
import { sizeOf } from "./tree.ts";

/** What a form's blocks are. */
export interface BlockKind {
  /** Number of the form in GGUF files. */
  readonly code: number;
  /** Numbers in a block. */
  readonly size: number;
  /** Bytes of a block in a file. */
  readonly bytes: number;
  /** Numbers in a group; the block itself in forms without groups. */
  readonly group: number;
  /** Bits of a number in the low plane: 4 of a byte, or all 8. */
  readonly low: 4 | 8;
  /** Further bits of a number. */
  readonly high: 0 | 1 | 2;
  /** Subtracted from q; of 8 bits, q is signed and kept with it added. */
  readonly offset: number;
  /** A block's minimum, which is added or, times a group's, subtracted. */
  readonly minimum?: "added" | "subtracted";
  /** Whether groups have scales of a byte: from 0, or signed. */
  readonly scales?: "unsigned" | "signed";
}

/** The forms. */
export const BLOCKS = {
  q4_0: { code: 2, size: 32, bytes: 18, group: 32, low: 4, high: 0, offset: 8 },
  q4_1: { code: 3, size: 32, bytes: 20, group: 32, low: 4, high: 0, offset: 0, minimum: "added" },
  q5_0: { code: 6, size: 32, bytes: 22, group: 32, low: 4, high: 1, offset: 16 },
  q5_1: { code: 7, size: 32, bytes: 24, group: 32, low: 4, high: 1, offset: 0, minimum: "added" },
  q8_0: { code: 8, size: 32, bytes: 34, group: 32, low: 8, high: 0, offset: 128 },
  q4_k: {
    code: 12,
    size: 256,
    bytes: 144,
    group: 32,
    low: 4,
    high: 0,
    offset: 0,
    minimum: "subtracted",
    scales: "unsigned",
  },
  q5_k: {
    code: 13,
    size: 256,
    bytes: 176,
    group: 32,
    low: 4,
    high: 1,
    offset: 0,
    minimum: "subtracted",
    scales: "unsigned",
  },
  q6_k: { code: 14, size: 256, bytes: 210, group: 16, low: 4, high: 2, offset: 32, scales: "signed" },
} as const satisfies Readonly<Record<string, BlockKind>>;

/** Name of a form, as ggml has it. */
export type BlockForm = keyof typeof BLOCKS;

/** All of them. */
export const blockForms: readonly BlockForm[] = Object.keys(BLOCKS) as BlockForm[];

/**
 * What a form's blocks are.
 *
 * @param form The form
 */
export function blockKind(form: BlockForm): BlockKind {
  return BLOCKS[form];
}

/**
 * Whether a name is that of a form.
 *
 * @param name Any name
 */
export function isBlockForm(name: string): name is BlockForm {
  return Object.hasOwn(BLOCKS, name);
}

/** Where a part begins, and its bytes. */
export type Span = readonly [at: number, bytes: number];

/** Where the parts of a matrix in blocks are; those that a form lacks have no bytes. */
export interface BlockLayout {
  /** d of each block, half precision. */
  readonly scales: Span;
  /** The minimum of each block, half precision. */
  readonly minima: Span;
  /** s of each group, a byte. */
  readonly groupScales: Span;
  /** m of each group, a byte. */
  readonly groupMinima: Span;
  /** The low bits of q: of four, a byte has those of a number of the first half and of its counterpart in the second. */
  readonly low: Span;
  /** The high bits of q: a byte has those of a number of the first eighth or quarter and of its counterparts in the others. */
  readonly high: Span;
  /** Bytes in all. */
  readonly bytes: number;
}

/**
 * Where the parts of a matrix in blocks are.
 *
 * @param form Its form
 * @param shape Its dimensions
 */
export function blockLayout(form: BlockForm, shape: readonly number[]): BlockLayout {
  const { size, group, low, high, minimum, scales } = blockKind(form);
  const count = sizeOf(shape);
  let at = 0;
  const span = (bytes: number): Span => [(at += bytes) - bytes, bytes];
  const perBlock = 2 * count / size;
  return {
    scales: span(perBlock),
    minima: span(minimum === undefined ? 0 : perBlock),
    groupScales: span(scales === undefined ? 0 : count / group),
    groupMinima: span(minimum === "subtracted" ? count / group : 0),
    low: span(count * low / 8),
    high: span(count * high / 8),
    bytes: at,
  };
}

/**
 * Why a tensor cannot be in blocks of a form, if it cannot.
 *
 * @param form The form
 * @param shape Its dimensions
 */
export function unfitForBlocks(form: BlockForm, shape: readonly number[]): string | undefined {
  const { size } = blockKind(form);
  if (shape.length !== 2 || shape[1] % size !== 0) return `a tensor of shape [${shape}], rows of ${size} in ${form}`;
}

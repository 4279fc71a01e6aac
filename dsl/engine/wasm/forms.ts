/**
 * The forms in which the wasm engine keeps matrices: halves and ggml's blocks, as files have them.
 *
 * @module
 */
import { blockForms, blockKind, BLOCKS, isBlockForm } from "../../blocks.ts";
import { isHalfForm, type StoredForm } from "../stored.ts";

/** Numbers of the halves in ggml, which assembly/stored.ts knows all forms by. */
const HALVES = { f16: 1, bf16: 30 } as const;

/** The forms. */
export const wasmForms: ReadonlySet<StoredForm> = new Set<StoredForm>([
  ...Object.keys(HALVES) as (keyof typeof HALVES)[],
  ...blockForms,
]);

/**
 * The number of a form.
 *
 * @param form A form that is kept
 */
export function codeOf(form: StoredForm): number {
  return isHalfForm(form) ? HALVES[form] : BLOCKS[form as keyof typeof BLOCKS].code;
}

/** Forms by number. */
const forms: ReadonlyMap<number, StoredForm> = new Map([...wasmForms].map((form) => [codeOf(form), form]));

/**
 * Bytes of neighbouring numbers.
 *
 * @param form A form that is kept
 * @param count How many
 * @returns Nothing where that is no number of whole blocks
 */
export function bytesOfNumbers(form: StoredForm, count: number): number | undefined {
  if (!isBlockForm(form)) return 2 * count;
  const { size, bytes } = BLOCKS[form];
  return count % size === 0 ? count / size * bytes : undefined;
}

/**
 * The same by the form's number, of whole blocks.
 *
 * @param code The form's number
 * @param count How many
 */
export function bytesByCode(code: number, count: number): number {
  return bytesOfNumbers(forms.get(code)!, count)!;
}

/** Numbers of the largest block. */
export const LARGEST_BLOCK: number = Math.max(...blockForms.map((form) => blockKind(form).size));

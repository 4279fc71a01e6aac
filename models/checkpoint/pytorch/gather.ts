/**
 * Views of a storage as tensors of their own, row by row.
 *
 * @module
 */
import type { StoredTensor } from "./value.ts";

/** Shape and stride without axes of length 1, whose stride means nothing. */
function essential({ shape, stride }: StoredTensor): readonly (readonly [length: number, step: number])[] {
  return shape.map((length, axis) => [length, stride[axis]] as const).filter(([length]) => length !== 1);
}

/**
 * Whether a view's elements lie one after the other.
 *
 * @param tensor The view
 */
export function isContiguous(tensor: StoredTensor): boolean {
  if (tensor.shape.includes(0)) return true;
  let step = 1;
  for (const [length, stride] of essential(tensor).toReversed()) {
    if (stride !== step) return false;
    step *= length;
  }
  return true;
}

/**
 * How many elements of the storage a view spans, from its first to its last; 0 if it has none.
 *
 * @param tensor The view
 */
export function spanned({ shape, stride }: StoredTensor): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((sum, length, axis) => sum + (length - 1) * stride[axis], 1);
}

/** Copies a view's elements, those of the last axis innermost. */
function copy<Element>(
  axes: readonly (readonly [length: number, step: number])[],
  from: ArrayLike<Element>,
  into: { [index: number]: Element },
): void {
  const [rows, step] = axes.at(-1) ?? [1, 1];
  const outer = axes.slice(0, -1);
  const counter = outer.map(() => 0);
  const count = outer.reduce((product, [length]) => product * length, 1);
  for (let row = 0, at = 0; row < count; row++) {
    for (let i = 0; i < rows; i++) into[row * rows + i] = from[at + i * step];
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      const [length, step] = outer[axis];
      at += step;
      if (++counter[axis] < length) break;
      at -= length * step;
      counter[axis] = 0;
    }
  }
}

/**
 * A view's elements, row-major.
 *
 * @param tensor The view
 * @param bytes What it spans of its storage
 * @param itemBytes Bytes of an element: 1, 2, 4 or 8
 */
export function gather(tensor: StoredTensor, bytes: ArrayBuffer, itemBytes: number): ArrayBuffer {
  // Beside an axis of none, the others may be of any length.
  if (tensor.shape.includes(0)) return new ArrayBuffer(0);
  const axes = essential(tensor);
  const into = new ArrayBuffer(axes.reduce((product, [length]) => product * length, itemBytes));
  if (itemBytes === 8) copy(axes, new BigUint64Array(bytes), new BigUint64Array(into));
  else if (itemBytes === 4) copy(axes, new Uint32Array(bytes), new Uint32Array(into));
  else if (itemBytes === 2) copy(axes, new Uint16Array(bytes), new Uint16Array(into));
  else copy(axes, new Uint8Array(bytes), new Uint8Array(into));
  return into;
}

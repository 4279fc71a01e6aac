/**
 * Attention of a text that is read on, by the kernel beside that for products of a few rows: it looks at the keys that a query
 * sees, and not at the room for others, where XLA lays out all of them anew for each step.
 *
 * @module
 */
import { ELEMENT, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import { readsHalf, rowProductsKernel } from "../../engine/tensorflow.ts";
import { sizeOf, type Tree } from "../../tree.ts";
import type { Call, Program, ValueId, ValueType } from "../program.ts";
import { INT32, inType, type Lowering, T } from "./lowering.ts";
import { isRowProducts } from "./row_products.ts";

const KERNEL = "SeenAttention";

/** Numbers of a head that the kernel takes at a time, at most. */
const STEP = 16;

/**
 * The kernels of our own that a recurrent function may be recorded with, where they are there.
 *
 * @param kept What is kept, [..., S, hd] each
 * @param isStep Whether tokens are read one by one: of many, products are faster
 */
export function stepKernels(kept: Tree<ValueType>, isStep: boolean): readonly string[] {
  const isFit = Object.values(kept).every(({ shape }) => (shape as readonly number[]).at(-1)! % STEP === 0);
  return isStep && isFit && readsHalf() ? [KERNEL] : [];
}

/**
 * Whether a call is done by a kernel of our own, which only compiled functions can hold and which takes operands as they are.
 *
 * @param call The call
 */
export function isCustomCall(call: Call): boolean {
  return isRowProducts(call) || call.kernel === KERNEL;
}

/**
 * The keys and values of before that such attention reads.
 *
 * @param program The program
 */
export function pastRead({ calls }: Program): readonly ValueId[] {
  return calls.flatMap(({ kernel, names, inputs }) =>
    kernel === KERNEL ? inputs.filter((_, i) => names?.[i].startsWith("past")) : []
  );
}

const lowered: Lowering = ({ inputs, attrs, results: [result], add, ints, scalar }) => {
  const { q, k, v, mask, pastKey, pastValue } = inputs;
  const [batch, heads, queries, size] = q.shape;
  const [, keyHeads, after] = k.shape;
  const [maskBatches, , maskQueries] = mask.shape;
  const flat = (name: string, type: ElementType) => add("Reshape", [name, ints([-1])], { T: T(type), Tshape: INT32 });
  const past = pastKey === undefined ? [] : [pastKey, pastValue];
  const before = pastKey?.shape[2] ?? 0;
  const isHalf = Number(pastKey?.type === ELEMENT.bfloat16);
  const floats = [q, k, v, mask];
  const node = add(
    "XlaCustomCallV2",
    [
      ints([batch, heads, keyHeads, queries, size, before, after, maskBatches, maskQueries, isHalf]),
      scalar(ELEMENT.float32, Number(attrs.scale)),
      ...floats.map((each) => flat(inType(each, ELEMENT.float32, add), ELEMENT.float32)),
      ...past.map(({ name, type }) => flat(name, type)),
    ],
    {
      call_target_name: { text: rowProductsKernel()!.attention },
      backend_config: { text: "" },
      has_side_effect: { bool: false },
      operand_dtypes: {
        types: [ELEMENT.int32, ...[0, ...floats].map(() => ELEMENT.float32), ...past.map(({ type }) => type)],
      },
      result_dtypes: { types: [ELEMENT.float32] },
      result_shapes: { shapes: [[sizeOf(result.shape)]] },
    },
  );
  return [add("Reshape", [node, ints(result.shape)], { T: T(ELEMENT.float32), Tshape: INT32 })];
};

/** The rule by its kernel. */
export const attentionRules: Readonly<Record<string, Lowering>> = { [KERNEL]: lowered };

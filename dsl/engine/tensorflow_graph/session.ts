/**
 * Sessions: graphs loaded into TensorFlow's graph executor, run on tensors that it shares with tfjs.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { blockForms, isBlockForm } from "../../blocks.ts";
import { fromBlocks } from "../../block_conversion.ts";
import { quantisations } from "../../quantise.ts";
import { markStored, type StoredForm } from "../stored.ts";
import { isOnGpu, tensorflowModule } from "../tensorflow.ts";
import { collectGarbage } from "../../garbage.ts";
import { encodeSavedModel, type ProtobufClasses, TAG } from "./encode.ts";
import { ELEMENT, type ElementType, type Graph } from "./graph.ts";

/** A tensor inside TensorFlow, of any element type, by the number that tfjs-node's addon knows it under. */
export type Handle = number;

/** What the addon says of a tensor it made, which {@linkcode freeHandle} frees. */
export interface Made {
  /** Its number. */
  readonly id: Handle;
  /** Dimensions. */
  readonly shape: number[];
  /** Element type. */
  readonly dtype: number;
}

/** What is used here of tfjs-node's addon. */
interface Binding {
  readonly TF_INT32: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_BOOL: number;
  loadSavedModel(folder: string, tags: string): number;
  runSavedModel(session: number, inputs: readonly Handle[], names: string, outputs: string): Made[];
  deleteSavedModel(session: number): void;
  createTensor(shape: readonly number[], type: number, values: tf.TypedArray): Handle;
  deleteTensor(id: Handle): void;
  executeOp(op: string, attrs: readonly unknown[], inputs: readonly Handle[], outputs: number): Made[];
}

/** What is used here of tfjs-node's backend. */
interface NodeBackend extends tf.KernelBackend {
  readonly binding: Binding;
  /** Tensors; the values of one that no kernel has read are still JavaScript's. */
  readonly tensorMap: tf.DataStorage<{ readonly values: tf.TypedArray | null }>;
  getInputTensorIds(tensors: readonly tf.Tensor[]): Handle[];
  createOutputTensor(made: Made): tf.Tensor;
}

function nodeBackend(): NodeBackend {
  return tf.backend() as NodeBackend;
}

/**
 * The handle of a tfjs tensor of the tensorflow backend; it lives as long as the tensor.
 *
 * @param tensor The tensor
 */
export function handleOf(tensor: tf.Tensor): Handle {
  return nodeBackend().getInputTensorIds([tensor])[0];
}

/**
 * A float32 or int32 tensor's bytes as int32, to be freed by {@linkcode freeHandle}: the addon copies all but int32 to the card as
 * soon as it sees it. An array that begins at a multiple of 64 bytes is shared, as TensorFlow shares all that it is given so.
 *
 * @param tensor The tensor
 */
export function wordsOf(tensor: tf.Tensor): Handle {
  const { binding, tensorMap } = nodeBackend();
  const { buffer, byteOffset, length } = tensorMap.get(tensor.dataId).values ?? tensor.dataSync();
  return binding.createTensor(tensor.shape, binding.TF_INT32, new Int32Array(buffer, byteOffset, length));
}

/**
 * A copy in another element type, to be freed by {@linkcode freeHandle}.
 *
 * @param handle The tensor
 * @param from Its type
 * @param to The copy's type
 */
export function castHandle(handle: Handle, from: ElementType, to: ElementType): Handle {
  const { binding } = nodeBackend();
  const attrs = [
    { name: "SrcT", type: binding.TF_ATTR_TYPE, value: from },
    { name: "DstT", type: binding.TF_ATTR_TYPE, value: to },
    { name: "Truncate", type: binding.TF_ATTR_BOOL, value: false },
  ];
  return binding.executeOp("Cast", attrs, [handle], 1)[0].id;
}

/**
 * Frees a tensor that tfjs does not know of.
 *
 * @param handle The tensor
 */
export function freeHandle(handle: Handle): void {
  nodeBackend().binding.deleteTensor(handle);
}

/**
 * Does something with tensors that are freed afterwards.
 *
 * @param made The tensors
 * @param f What is done with their handles
 */
export function lending<Result>(made: readonly Made[], f: (handles: readonly Handle[]) => Result): Result {
  try {
    return f(made.map(({ id }) => id));
  } finally {
    for (const { id } of made) freeHandle(id);
  }
}

/**
 * A tensor as tfjs's, which frees it: float32, int32 and bool only.
 *
 * @param made The tensor
 */
export function tensorOf(made: Made): tf.Tensor {
  return nodeBackend().createOutputTensor(made);
}

/**
 * The element type that a stored tensor has in TensorFlow: quantised ones are bytes.
 *
 * @param form Its form
 */
export function storedType(form: StoredForm): ElementType {
  return form === "bf16" ? ELEMENT.bfloat16 : ELEMENT.uint8;
}

/**
 * A tensor of TensorFlow's as a stored one, which frees it.
 *
 * @param made The tensor
 * @param form What it is
 * @param shape Dimensions of what it stands for
 */
export function storedOf({ id }: Pick<Made, "id">, form: StoredForm, shape: readonly number[]): tf.Tensor {
  const dataId = {};
  const info = { shape: [...shape], dtype: storedType(form), id, values: null, refCount: 1 };
  nodeBackend().tensorMap.set(dataId, info);
  return markStored(tf.engine().makeTensorFromTensorInfo({ dataId, shape: info.shape, dtype: "float32" }), form);
}

/** Forms that tensors are kept in. */
export const graphForms: ReadonlySet<StoredForm> = new Set<StoredForm>([
  "bf16",
  ...quantisations,
  ...blockForms,
]);

/**
 * Bytes as a stored tensor. TensorFlow copies them unless they begin at a multiple of 64 bytes: those it reads where they are, and
 * keeps their array alive, so nobody may write to bytes that were given here, nor give their memory back.
 *
 * @param bytes Little-endian
 * @param form What they are
 * @param shape Dimensions of what they stand for
 * @returns Nothing of a form that is not kept
 */
export function hold(bytes: Uint8Array, form: StoredForm, shape: readonly number[]): tf.Tensor | undefined {
  if (!graphForms.has(form)) return undefined;
  const { binding } = nodeBackend();
  if (form !== "bf16") {
    const parts = isBlockForm(form) ? fromBlocks(form, shape, bytes) : bytes;
    return storedOf({ id: binding.createTensor([parts.length], ELEMENT.uint8, parts) }, form, shape);
  }
  const pairs = binding.createTensor([...shape, 2], ELEMENT.uint8, bytes);
  const attrs = [
    { name: "T", type: binding.TF_ATTR_TYPE, value: ELEMENT.uint8 },
    { name: "type", type: binding.TF_ATTR_TYPE, value: ELEMENT.bfloat16 },
  ];
  const [made] = binding.executeOp("Bitcast", attrs, [pairs], 1);
  binding.deleteTensor(pairs);
  return storedOf(made, form, shape);
}

/**
 * Gives TensorFlow a tensor's numbers now: a copy, or where they begin at a multiple of 64 bytes their own memory, which nobody may
 * write to or give back afterwards. On a card they wait: what goes there goes as words.
 *
 * @param tensor A tensor of the tensorflow backend
 */
export function settle(tensor: tf.Tensor): void {
  if (!isOnGpu()) handleOf(tensor);
}

/**
 * A float32 tensor's numbers rounded to bfloat16 (nearest, ties to even) and kept so. Read for it, those of all weights would be
 * in JavaScript's memory, whose freed arrays of some megabytes malloc keeps.
 *
 * @param tensor A tensor of the tensorflow backend
 */
export function narrowed(tensor: tf.Tensor): tf.Tensor {
  const id = castHandle(handleOf(tensor), ELEMENT.float32, ELEMENT.bfloat16);
  return storedOf({ id }, "bf16", tensor.shape);
}

/**
 * The numbers of a tensor kept in bfloat16, as float32.
 *
 * @param tensor Such a tensor
 */
export function widened(tensor: tf.Tensor): tf.Tensor {
  const id = castHandle(handleOf(tensor), ELEMENT.bfloat16, ELEMENT.float32);
  return tensorOf({ id, shape: tensor.shape, dtype: ELEMENT.float32 });
}

/** A graph ready to run, with its variables. */
export interface GraphSession {
  /** Feeds tensors to nodes and returns outputs of others, in order. */
  readonly run: (feeds: ReadonlyMap<string, Handle>, outputs: readonly string[]) => readonly Made[];
  /** Frees the graph and its variables. */
  readonly dispose: () => void;
}

/**
 * Loads a graph on the tensorflow backend. It goes through a file, the only way in that tfjs-node's addon has.
 *
 * @param graph The graph
 */
export function openSession(graph: Graph): GraphSession {
  const { binding } = nodeBackend();
  const classes = tensorflowModule("dist/proto/api_pb.js") as ProtobufClasses;
  const folder = Deno.makeTempDirSync({ prefix: "onelora-graph-" });
  let session: number;
  try {
    Deno.writeFileSync(`${folder}/saved_model.pb`, encodeSavedModel(classes, graph));
    session = binding.loadSavedModel(folder, TAG);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
  collectGarbage();
  return {
    run: (feeds, outputs) =>
      binding.runSavedModel(session, [...feeds.values()], [...feeds.keys()].join(","), outputs.join(",")),
    dispose: () => binding.deleteSavedModel(session),
  };
}

/**
 * How tensors of tfjs get into a graph. On a CPU they are fed as they are: TensorFlow reads them where they lie. On a GPU the
 * addon would copy them to the card and back before the session copies them to the card again, so they go as int32 words,
 * which it leaves alone, and large ones stay in variables, so that what is the same as the last time is not sent again: numbers,
 * and whole numbers of which that is known. Variables on a card are float32, since TensorFlow keeps those of int32 on the host.
 *
 * What a step is fed may ride with the step before: the step reads its batch from variables, and the same run feeds them the
 * next one. TensorFlow copies to a card on a stream of its own, which first waits for what the computing stream has been given
 * so far (`GPUUtil::CopyCPUTensorToGPU`). Receiving a feed is a root of the graph, and a step that is fed nothing itself comes
 * after hundreds of reads of variables, so the copy is queued before the step's kernels, and goes on beside them. One number
 * that the step itself is fed would have it wait behind the batch on that stream: so all of a batch rides, or nothing. A
 * variable that is assigned gives up its old memory to who has read it, so there are two batches on the card, not three.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { ELEMENT, type ElementType, type GraphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import {
  freeHandle,
  type GraphSession,
  type Handle,
  handleOf,
  type Made,
  wordsOf,
} from "../../engine/tensorflow_graph/session.ts";
import { sizeOf } from "../../tree.ts";
import { type Operand, T } from "./lowering.ts";

/** Where a tensor goes. */
export interface Feed {
  /** The node that it is fed to. */
  readonly node: string;
  /** Whether it is fed as int32 words. */
  readonly words: boolean;
  /** To be asked for after feeding it, where it is held in a variable. */
  readonly held?: string;
  /** The same, in a run that reads what the variable held before. */
  readonly ahead?: string;
  /** What the graph reads. */
  readonly value: Operand;
}

/** Smaller tensors are sent every time, and fed with their shape known beforehand. */
const HELD_FROM = 2 ** 14;

/**
 * A node that can be asked for once others have run.
 *
 * @param graph The graph
 * @param nodes The others
 * @param name Its name
 */
export function after(graph: GraphBuilder, nodes: readonly string[], name: string): string {
  // int32 stays on the host.
  const tensor = { type: ELEMENT.int32, shape: [], bytes: new Uint8Array(4) };
  return graph.add("Const", nodes.map((node) => `^${node}`), { dtype: T(ELEMENT.int32), value: { tensor } }, name);
}

/** How a tensor is fed. */
export interface FeedOptions {
  /** As words, and held where it is large, as a GPU wants it. */
  readonly asWords: boolean;
  /** Whether it is known to be the same every time. */
  readonly stays?: boolean;
  /** Whether it may ride with a run that reads what was fed before; then it is held however small it is. */
  readonly rides?: boolean;
}

/**
 * Adds what takes in a tensor.
 *
 * @param graph The graph
 * @param name A name that nothing else has
 * @param type Its shape and element type
 * @param options See {@linkcode FeedOptions}
 */
export function feedOf(
  graph: GraphBuilder,
  name: string,
  { shape, type }: { readonly shape: readonly number[]; readonly type: ElementType },
  { asWords, stays = false, rides = false }: FeedOptions,
): Feed {
  const isHeld = asWords && (rides || sizeOf(shape) >= HELD_FROM) &&
    (type === ELEMENT.float32 || (rides || stays) && type === ELEMENT.int32);
  const words = asWords && type === ELEMENT.float32 || isHeld;
  const bits = (of: string, from: ElementType, to: ElementType) =>
    from === to ? of : graph.add("Bitcast", [of], { T: T(from), type: T(to) });
  if (!asWords && sizeOf(shape) >= HELD_FROM) {
    // While TensorFlow optimises a graph it makes a tensor of the shape of each feed, as much memory as all weights; it does
    // not where the placeholder has none.
    const node = graph.add("Placeholder", [], { dtype: T(type) }, name);
    const value = graph.add("EnsureShape", [node], { T: T(type), shape: { shape } });
    return { node, words, value: { name: value, shape, type } };
  }
  const node = graph.add("Placeholder", [], { dtype: T(words ? ELEMENT.int32 : type), shape: { shape } }, name);
  if (!isHeld) return { node, words, value: { name: words ? bits(node, ELEMENT.int32, type) : node, shape, type } };
  const dtype = { dtype: T(ELEMENT.float32) };
  const fed = bits(node, ELEMENT.int32, ELEMENT.float32);
  const handle = graph.add("VarHandleOp", [], {
    ...dtype,
    shape: { shape },
    shared_name: { text: `${name}_held` },
    container: { text: "" },
  });
  const assigned = (...waits: readonly string[]) => graph.add("AssignVariableOp", [handle, fed, ...waits], dtype);
  const held = after(graph, [assigned()], `${name}_sent`);
  const read = graph.add("ReadVariableOp", [handle], dtype);
  const ahead = rides && !stays ? after(graph, [assigned(`^${read}`)], `${name}_ahead`) : undefined;
  return { node, words, held, ahead, value: { name: bits(read, ELEMENT.float32, type), shape, type } };
}

/**
 * Sends tensors to a session's feeds and runs it, with those of the next run riding along where they are given; these must
 * have the types of the feeds.
 */
export type Sender = (
  tensors: readonly tf.Tensor[],
  outputs: readonly string[],
  next?: readonly tf.Tensor[],
) => ReturnType<GraphSession["run"]>;

/**
 * What sends tensors, remembering what the session holds.
 *
 * @param session The session
 * @param feeds Where each tensor goes
 */
export function sender(session: GraphSession, feeds: readonly Feed[]): Sender {
  const sent = new Map<Feed, object>();
  return (tensors, outputs, next = []) => {
    const lent: Handle[] = [];
    const fed = (chosen: readonly (readonly [Feed, tf.Tensor])[]) =>
      new Map(chosen.map(([{ node, words }, tensor]) => {
        if (!words) return [node, handleOf(tensor)];
        lent.push(wordsOf(tensor));
        return [node, lent.at(-1)!];
      }));
    type Pair = readonly [Feed, tf.Tensor];
    const pairs = feeds.map((feed, i): Pair => [feed, tensors[i]]);
    const isNew = ([feed, { dataId }]: Pair) => sent.get(feed) !== dataId;
    /** Runs something that has variables take in tensors. */
    const holding = (held: readonly Pair[], run: () => readonly Made[]): readonly Made[] => {
      // A run that fails may have sent some of them.
      for (const [feed] of held) sent.delete(feed);
      const made = run();
      for (const [feed, { dataId }] of held) sent.set(feed, dataId);
      return made;
    };
    try {
      const others = pairs.filter((pair) => pair[0].held !== undefined && isNew(pair));
      if (others.length > 0) {
        const nodes = others.map(([{ held }]) => held!);
        for (const { id } of holding(others, () => session.run(fed(others), nodes))) freeHandle(id);
      }
      const riding = feeds.flatMap((feed, i): readonly Pair[] =>
        feed.ahead !== undefined && i < next.length ? [[feed, next[i]]] : []
      ).filter(isNew);
      const given = fed([...pairs.filter(([{ held }]) => held === undefined), ...riding]);
      const nodes = [...outputs, ...riding.map(([{ ahead }]) => ahead!)];
      const made = holding(riding, () => session.run(given, nodes));
      for (const { id } of made.slice(outputs.length)) freeHandle(id);
      return made.slice(0, outputs.length);
    } finally {
      lent.forEach(freeHandle);
    }
  };
}

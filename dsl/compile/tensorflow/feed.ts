/**
 * How tensors of tfjs get into a graph. On a CPU they are fed as they are: TensorFlow reads them where they lie. On a GPU the
 * addon would copy them to the card and back before the session copies them to the card again, so they go as int32 words,
 * which it leaves alone, and large ones stay in variables, so that what is the same as the last time is not sent again: numbers,
 * and whole numbers of which that is known. Variables on a card are float32, since TensorFlow keeps those of int32 on the host.
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

/**
 * Adds what takes in a tensor.
 *
 * @param graph The graph
 * @param name A name that nothing else has
 * @param type Its shape and element type
 * @param asWords As words and held, as a GPU wants it
 * @param stays Whether it is known to be the same every time
 */
export function feedOf(
  graph: GraphBuilder,
  name: string,
  { shape, type }: { readonly shape: readonly number[]; readonly type: ElementType },
  asWords: boolean,
  stays: boolean = false,
): Feed {
  const isHeld = asWords && sizeOf(shape) >= HELD_FROM && (type === ELEMENT.float32 || stays && type === ELEMENT.int32);
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
  const assigned = graph.add("AssignVariableOp", [handle, fed], dtype);
  const value = bits(graph.add("ReadVariableOp", [handle], dtype), ELEMENT.float32, type);
  return { node, words, held: after(graph, [assigned], `${name}_sent`), value: { name: value, shape, type } };
}

/** Sends tensors to a session's feeds and runs it. */
export type Sender = (tensors: readonly tf.Tensor[], outputs: readonly string[]) => ReturnType<GraphSession["run"]>;

/**
 * What sends tensors, remembering what the session holds.
 *
 * @param session The session
 * @param feeds Where each tensor goes
 */
export function sender(session: GraphSession, feeds: readonly Feed[]): Sender {
  const sent = new Map<Feed, object>();
  return (tensors, outputs) => {
    const lent: Handle[] = [];
    const fed = (chosen: readonly (readonly [Feed, tf.Tensor])[]) =>
      new Map(chosen.map(([{ node, words }, tensor]) => {
        if (!words) return [node, handleOf(tensor)];
        lent.push(wordsOf(tensor));
        return [node, lent.at(-1)!];
      }));
    const pairs = feeds.map((feed, i) => [feed, tensors[i]] as const);
    const others = pairs.filter(([feed, { dataId }]) => feed.held !== undefined && sent.get(feed) !== dataId);
    try {
      if (others.length > 0) {
        for (const [feed] of others) sent.delete(feed);
        for (const { id } of session.run(fed(others), others.map(([{ held }]) => held!))) freeHandle(id);
        for (const [feed, { dataId }] of others) sent.set(feed, dataId);
      }
      return session.run(fed(pairs.filter(([{ held }]) => held === undefined)), outputs);
    } finally {
      lent.forEach(freeHandle);
    }
  };
}

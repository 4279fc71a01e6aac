/**
 * Programs without a state, run as one TensorFlow graph.
 *
 * @module
 */
import { elementOf, graphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { openSession, tensorOf } from "../../engine/tensorflow_graph/session.ts";
import { isOnGpu } from "../../engine/tensorflow.ts";
import type { Program, ValueId } from "../program.ts";
import type { Replayer } from "../replay.ts";
import { feedOf, sender } from "./feed.ts";
import { nothingHalved } from "./half.ts";
import { lower } from "./lower.ts";
import { type Operand, T } from "./lowering.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";

/**
 * Prepares a program as a graph that is fed all its inputs, weights too: on a CPU TensorFlow reads them where they are, on
 * a GPU those that are the same as the last time stay there.
 *
 * @param program The program, prepared for graphs
 * @param asWords Feed it as a GPU wants it (default: where there is one)
 * @throws OneloraError for kernels and types that TensorFlow graphs are not made of here
 */
export function graphReplayer(program: Program, asWords: boolean = isOnGpu()): Replayer {
  const graph = graphBuilder();
  const closedOver = [...program.constants].flatMap(([value, constant]) =>
    constant.kind === "tensor" ? [{ value, tensor: constant.tensor }] : []
  );
  const fed = [...program.inputs, ...closedOver.map(({ value }) => value)];
  const feeds = fed.map((value, i) => {
    const { shape, dtype } = program.types[value];
    return feedOf(graph, `given${i}`, { shape, type: elementOf(dtype) }, asWords);
  });
  const given = new Map(fed.map((value, i): readonly [ValueId, Operand] => [value, feeds[i].value]));
  const place = lower(
    graph,
    { program, given, halved: nothingHalved },
    canFuse() ? FUSE_FROM : Infinity,
    program.inputs,
  );
  const results = program.outputs.map((value, i) => {
    const { name, type } = place(value);
    return graph.add("Identity", [name], { T: T(type) }, `result${i}`);
  });
  const session = openSession(graph.graph);
  const send = sender(session, feeds);
  const constants = closedOver.map(({ tensor }) => tensor);
  return {
    run: (inputs) => send([...inputs, ...constants], results).map(tensorOf),
    dispose: session.dispose,
  };
}

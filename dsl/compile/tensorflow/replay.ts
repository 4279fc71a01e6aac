/**
 * Programs without a state, run as one TensorFlow graph.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { elementOf, graphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { handleOf, openSession, tensorOf } from "../../engine/tensorflow_graph/session.ts";
import type { Program, ValueId } from "../program.ts";
import type { Replayer } from "../replay.ts";
import { nothingHalved } from "./half.ts";
import { lower } from "./lower.ts";
import { type Operand, T } from "./lowering.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";

/**
 * Prepares a program as a graph that is fed all its inputs, weights too: on a CPU, TensorFlow reads them where they are.
 *
 * @param program The program, prepared for graphs
 * @throws OneloraError for kernels and types that TensorFlow graphs are not made of here
 */
export function graphReplayer(program: Program): Replayer {
  const graph = graphBuilder();
  const closedOver = [...program.constants].flatMap(([value, constant]) =>
    constant.kind === "tensor" ? [{ value, tensor: constant.tensor }] : []
  );
  const fed = [...program.inputs, ...closedOver.map(({ value }) => value)];
  const given = new Map(fed.map((value, i): readonly [ValueId, Operand] => {
    const { shape, dtype } = program.types[value];
    const type = elementOf(dtype);
    const name = graph.add("Placeholder", [], { dtype: T(type), shape: { shape } }, `given${i}`);
    return [value, { name, shape, type }];
  }));
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
  const names = fed.map((value) => given.get(value)!.name);
  const session = openSession(graph.graph);
  return {
    run: (inputs) => {
      const tensors: readonly tf.Tensor[] = [...inputs, ...closedOver.map(({ tensor }) => tensor)];
      return session.run(new Map(names.map((name, i) => [name, handleOf(tensors[i])])), results).map(tensorOf);
    },
    dispose: session.dispose,
  };
}

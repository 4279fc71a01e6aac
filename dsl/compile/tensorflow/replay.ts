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
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import { heldAs, holderOf } from "./stored.ts";
import { feedOf, sender } from "./feed.ts";
import { nothingHalved } from "./half.ts";
import { lower } from "./lower.ts";
import { type Operand, T } from "./lowering.ts";
import { withTensors } from "./large_constants.ts";
import { fuseFromFor } from "./probe.ts";

/** Settings of {@linkcode graphReplayer}. */
export interface GraphReplayOptions {
  /** Feed it as a GPU wants it (default: where there is one). */
  readonly asWords?: boolean;
  /** What its inputs are stored as, those that are. */
  readonly forms?: readonly (StoredForm | undefined)[];
  /** How often it will be run (default: often). */
  readonly calls?: number;
}

/** Inputs that are taken for data, the others for weights: what a program reads first, and whole numbers. */
function dataOf({ calls, inputs, types }: Program): readonly ValueId[] {
  const first = new Set(calls[0]?.inputs);
  return inputs.filter((value) => first.has(value) || types[value].dtype !== "float32");
}

/**
 * Prepares a program as a graph that is fed all its inputs, weights too: on a CPU TensorFlow reads them where they are, on
 * a GPU those that are the same as the last time stay there.
 *
 * @param prepared The program, prepared for graphs
 * @param options See {@linkcode GraphReplayOptions}
 * @throws OneloraError for kernels and types that TensorFlow graphs are not made of here
 */
export function graphReplayer(
  prepared: Program,
  { asWords = isOnGpu(), forms = [], calls }: GraphReplayOptions = {},
): Replayer {
  const held = withTensors(prepared);
  const { program } = held;
  const graph = graphBuilder();
  const closedOver = [...program.constants].flatMap(([value, constant]) =>
    constant.kind === "tensor" ? [{ value, tensor: constant.tensor }] : []
  );
  const fed = [...program.inputs, ...closedOver.map(({ value }) => value)];
  const wanted = fed.map((value) => ({
    shape: program.types[value].shape,
    type: elementOf(program.types[value].dtype),
  }));
  const formAt = (i: number) =>
    i < program.inputs.length ? forms[i] : storedForm(closedOver[i - program.inputs.length].tensor);
  const feeds = wanted.map((type, i) => feedOf(graph, `given${i}`, holderOf(type, formAt(i)), { asWords }));
  const given = new Map(fed.map((value, i): readonly [ValueId, Operand] => [
    value,
    heldAs(feeds[i].value.name, wanted[i], formAt(i)),
  ]));
  const place = lower(
    graph,
    { program, given, halved: nothingHalved },
    fuseFromFor(calls, isOnGpu()),
    dataOf(program),
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
    dispose: () => {
      session.dispose();
      held[Symbol.dispose]();
    },
  };
}

/**
 * A step in a session of TensorFlow's that holds its state, for batches of one signature.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  type GraphSession,
  type Handle,
  handleOf,
  lending,
  type Made,
  openSession,
} from "../../engine/tensorflow_graph/session.ts";
import { storedForm } from "../../engine/stored.ts";
import type { Params } from "../../tree.ts";
import type { PureStep, StepState } from "../step.ts";
import { traceStep, typesOf } from "../trace_step.ts";
import { type Sender, sender } from "./feed.ts";
import { InTypes } from "./in_types.ts";
import { withTensors } from "./large_constants.ts";
import { preparing } from "./prepare.ts";
import { type StepGraph, stepGraph, type StepGraphOptions } from "./step_graph.ts";
import type { StepProgram } from "./step_program.ts";

/** The step's program for a state and a batch. */
function programOf<Batch extends Params>(
  step: PureStep<Batch>,
  { frozen, trained, optimiser }: StepState,
  batch: Batch,
  { precision, whole }: Pick<StepGraphOptions, "precision" | "whole">,
): StepProgram & { readonly metrics: readonly string[] } {
  const state = { frozen: typesOf(frozen), trained: typesOf(trained), optimiser: typesOf(optimiser) };
  const types = { ...state, batch: typesOf(batch as Params) };
  const { program, metrics, moving } = traceStep(step, types, { precision, whole });
  return {
    program: preparing(whole, precision)(program),
    fixed: Object.keys(frozen).length,
    forms: Object.values(frozen).map(storedForm),
    moving: moving.pairs.length,
    loss: moving.gate,
    metrics,
  };
}

/** What a session's state begins as: another session's, or tensors, which are used up. */
export type Beginning = StepSession | readonly tf.Tensor[];

/** A session for batches of one signature. */
export class StepSession {
  /** Sends a batch. */
  readonly send: Sender;

  private constructor(
    /** Names of the step's metrics. */
    readonly metrics: readonly string[],
    readonly frozen: number,
    readonly graph: StepGraph,
    readonly session: GraphSession,
  ) {
    this.send = sender(session, graph.batch);
  }

  /**
   * Opens a session that holds the state.
   *
   * @param step The pure step
   * @param state The state, for its types
   * @param batch A batch, for its types
   * @param options See {@linkcode StepGraphOptions}
   * @param beginning Where it takes the state from
   */
  static open<Batch extends Params>(
    step: PureStep<Batch>,
    state: StepState,
    batch: Batch,
    options: StepGraphOptions,
    beginning: Beginning,
  ): StepSession {
    const { metrics, ...prepared } = programOf(step, state, batch, options);
    using given = withTensors(prepared.program);
    const graph = stepGraph({ ...prepared, program: given.program }, options);
    const opened = new StepSession(metrics, Object.keys(state.frozen).length, graph, openSession(graph.graph));
    const constants = [...given.program.constants.values()]
      .flatMap((constant) => constant.kind === "tensor" ? [constant.tensor] : []);
    try {
      opened.#begin(beginning, constants);
      return opened;
    } catch (error) {
      opened.dispose();
      throw error;
    }
  }

  #begin(beginning: Beginning, constants: readonly tf.Tensor[]): void {
    using types = new InTypes(this.graph.fixedTypes);
    const written = constants.map((tensor, i) => types.handleOf(tensor, this.frozen + i));
    if (beginning instanceof StepSession) {
      const shared = beginning.graph.values.fixed.slice(0, this.frozen);
      lending(beginning.#run(shared), (handles) => this.#upload({ fixed: [...handles, ...written] }));
      return this.takeOver(beginning);
    }
    // Tensor by tensor, so that there are never two copies of a whole model.
    const fixed = beginning.slice(0, this.frozen)
      .map((tensor, i) => types.handleOf(tensor, i, (copied) => copied.dispose()));
    this.#upload({ fixed: [...fixed, ...written], moving: beginning.slice(this.frozen).map(handleOf) });
    tf.dispose([...beginning]);
  }

  /** A run that only fetches. One without anything to fetch is an error of TensorFlow's. */
  #run(names: readonly string[]): readonly Made[] {
    return names.length === 0 ? [] : this.session.run(new Map(), names);
  }

  /** Takes in state; in one run, since TensorFlow goes through the whole graph for each set of what is asked of it. */
  #upload(state: Readonly<Partial<Record<"fixed" | "moving", readonly Handle[]>>>): void {
    const { graph } = this;
    const kinds = (["fixed", "moving"] as const).filter((kind) => state[kind] !== undefined);
    const names = kinds.flatMap((kind) => graph.uploads[kind]);
    const handles = kinds.flatMap((kind) => state[kind]!);
    const fed = new Map(names.map((name, i) => [name, handles[i]]));
    lending(this.session.run(fed, kinds.map((kind) => graph.uploaded[kind])), () => {});
  }

  /**
   * Takes over what another session has moved.
   *
   * @param other The session
   */
  takeOver(other: StepSession): void {
    lending(other.session.run(new Map(), other.graph.values.moving), (handles) => this.#upload({ moving: handles }));
  }

  /**
   * Tensors of the state, as TensorFlow has them.
   *
   * @param places Which of them, counted through frozen weights, parameters and the optimiser's state
   */
  fetch(places: readonly number[]): readonly Made[] {
    const names = [...this.graph.values.fixed.slice(0, this.frozen), ...this.graph.values.moving];
    return this.#run(places.map((i) => names[i]));
  }

  /** Ends the session. */
  dispose(): void {
    this.session.dispose();
  }
}

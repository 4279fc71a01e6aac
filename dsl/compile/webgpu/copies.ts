/**
 * What moves in a step (trained parameters, optimiser state) in WebGPU's memory, in two copies: a step reads one and writes the
 * other, so that a step that came to nothing changes nothing.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Gpu } from "../../engine/webgpu/gpu.ts";
import { mapTree } from "../../tree.ts";
import type { StepState } from "../step.ts";

/** What moves in a step. */
type Moving = Omit<StepState, "frozen">;

/** Both copies, which it owns. */
export class Copies {
  /** Which of the two is the state. */
  #turn: 0 | 1 = 0;
  readonly #copies: readonly [readonly tf.Tensor[], readonly tf.Tensor[]];

  /**
   * @param gpu Where they are
   * @param state The first copy; its tensors are no longer the caller's
   */
  constructor(readonly gpu: Gpu, readonly state: Moving) {
    const first = [...Object.values(state.trained), ...Object.values(state.optimiser)];
    const second = first.map(({ shape, dtype }) =>
      tf.keep(tf.engine().makeTensorFromTensorInfo(gpu.output(shape, dtype)))
    );
    this.#copies = [first, second];
  }

  /** The buffers of the state, parameters first. */
  get from(): readonly GPUBuffer[] {
    return this.#buffersOf(this.#turn);
  }

  /** The buffers that a step writes, in the same order. */
  get to(): readonly GPUBuffer[] {
    return this.#buffersOf(1 - this.#turn);
  }

  #buffersOf(copy: number): readonly GPUBuffer[] {
    return this.#copies[copy].map((tensor) => this.gpu.bufferOf(tensor));
  }

  /** Makes what was written the state. */
  swap(): void {
    this.#turn = this.#turn === 0 ? 1 : 0;
  }

  /** The state, whose tensors stay these copies'. */
  get current(): Moving {
    let next = 0;
    const now = mapTree(() => this.#copies[this.#turn][next++]);
    return { trained: now(this.state.trained), optimiser: now(this.state.optimiser) };
  }

  /** Frees the copy that is not the state, and hands over the one that is. */
  release(): Moving {
    tf.dispose([...this.#copies[1 - this.#turn]]);
    return this.current;
  }

  /** Frees both. */
  dispose(): void {
    tf.dispose([...this.#copies.flat()]);
  }
}

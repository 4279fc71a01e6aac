/**
 * Frozen weights as WebGPU holds them: tensors of float32 or, in f16, buffers of float16.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Gpu } from "../../engine/webgpu/gpu.ts";
import { Runner } from "../../engine/webgpu/runner.ts";
import { targetInUse } from "../../engine/webgpu/target.ts";
import { inFloat16 } from "../../safetensors/dtype.ts";
import type { Params, Path } from "../../tree.ts";
import { isHalved } from "./halves.ts";
import { type GpuProgram, lowerProgram } from "./lower.ts";

/** A weight in float16. */
interface Half {
  readonly buffer: GPUBuffer;
  readonly shape: readonly number[];
}

/** Frozen weights, which it owns. */
export class Held {
  readonly #halves = new Map<Path, Half>();
  readonly #whole = new Map<Path, tf.Tensor>();

  /**
   * @param gpu Where they are
   * @param frozen Their tensors, which are no longer the caller's
   */
  constructor(readonly gpu: Gpu, frozen: Params) {
    for (const [path, tensor] of Object.entries(frozen)) this.#whole.set(path, tensor);
  }

  /**
   * Keeps those in float16 that are matrices or tables, rounded to the nearest, ties to even, and frees their tensors.
   *
   * @throws OneloraError for a weight beyond float16's range
   */
  async halve(): Promise<void> {
    const { device } = this.gpu;
    for (const [path, tensor] of this.#whole) {
      const { shape, dtype } = tensor;
      if (!isHalved({ shape, dtype })) continue;
      const bits = inFloat16(await tensor.data<"float32">(), path);
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
      const buffer = device.createBuffer({ size: 4 * Math.ceil(bits.length / 2), usage, mappedAtCreation: true });
      new Uint16Array(buffer.getMappedRange()).set(bits);
      buffer.unmap();
      this.#halves.set(path, { buffer, shape });
      tensor.dispose();
      this.#whole.delete(path);
    }
  }

  /**
   * The buffer of a weight.
   *
   * @param path Its path
   */
  bufferOf(path: Path): GPUBuffer {
    return this.#halves.get(path)?.buffer ?? this.gpu.bufferOf(this.#whole.get(path)!);
  }

  /**
   * A weight in float32: new for one in float16, else the tensor that it is.
   *
   * @param path Its path
   */
  tensorOf(path: Path): tf.Tensor {
    const half = this.#halves.get(path);
    return half === undefined ? this.#whole.get(path)! : this.#widened(half);
  }

  /** Whether a weight is in float16. */
  isHalf(path: Path): boolean {
    return this.#halves.has(path);
  }

  #widened({ buffer, shape }: Half): tf.Tensor {
    const type = { shape, dtype: "float32" } as const;
    const { target, limits } = targetInUse();
    const lowered = lowerProgram(
      {
        types: [type, type],
        inputs: [0],
        outputs: [1],
        constants: new Map(),
        calls: [{ kernel: "Widen", inputs: [0], names: ["x"], attrs: {}, outputs: [1], region: 0 }],
      },
      target,
      limits,
      new Set([0]),
    ) as GpuProgram;
    const made = this.gpu.output(shape, "float32");
    const to = this.gpu.bufferOf(made);
    this.gpu.flush();
    const runner = new Runner(this.gpu, lowered);
    const encoder = this.gpu.device.createCommandEncoder();
    runner.encode(encoder, (root) => root === lowered.rootOf(0) ? buffer : to);
    this.gpu.device.queue.submit([encoder.finish()]);
    runner.dispose();
    return tf.keep(tf.engine().makeTensorFromTensorInfo(made));
  }

  /** Frees those in float16. */
  disposeHalves(): void {
    for (const { buffer } of this.#halves.values()) buffer.destroy();
    this.#halves.clear();
  }

  /** Frees all of them. */
  dispose(): void {
    this.disposeHalves();
    tf.dispose([...this.#whole.values()]);
    this.#whole.clear();
  }
}

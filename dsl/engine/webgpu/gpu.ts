/**
 * The GPU that tfjs's webgpu backend computes on, and the tensors there.
 *
 * @module
 */
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../error.ts";

/** What is used here of the fields that tfjs keeps to itself. */
interface Inside {
  readonly commandEncoder: unknown;
}

/** A device and what was asked of it so far. */
export class Gpu {
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #numbers = new WeakMap<GPUBuffer, number>();
  #count = 0;
  #failure: string | undefined;

  /**
   * @param backend tfjs's backend
   */
  constructor(readonly backend: WebGPUBackend) {
    this.device.addEventListener("uncapturederror", (event) => {
      this.#failure ??= (event as GPUUncapturedErrorEvent).error.message;
      event.preventDefault();
    });
    // Refusals come to be known after what was refused: at the latest where numbers are waited for.
    const read = backend.read.bind(backend);
    backend.read = async (dataId) => {
      const values = await read(dataId);
      this.check();
      return values;
    };
  }

  /** The device. */
  get device(): GPUDevice {
    return this.backend.device;
  }

  /** Refuses to go on after the device has refused something. */
  check(): void {
    if (this.#failure === undefined) return;
    const found = this.#failure;
    this.#failure = undefined;
    throw new OneloraError({
      attempted: "computing with WebGPU",
      found: `the device's refusal: ${found.replace(/\s+/g, " ").slice(0, 400)}`,
      allowed: "`--backend wasm`",
    });
  }

  /** Sends what tfjs has collected, so that what is sent next comes after it. */
  flush(): void {
    this.backend.endComputePassEncoder();
    if ((this.backend as unknown as Inside).commandEncoder !== null) this.backend.submitQueue();
  }

  /** The buffer of a tensor, which is brought there if it has been made in JavaScript's memory. */
  bufferOf({ dataId }: Pick<tf.TensorInfo, "dataId">): GPUBuffer {
    this.backend.uploadToGPU(dataId);
    return this.backend.tensorMap.get(dataId).resource as GPUBuffer;
  }

  /** Numbers of a tensor that have not been sent to the GPU yet. */
  valuesOf({ dataId }: tf.TensorInfo): tf.TypedArray | undefined {
    const { values, resource } = this.backend.tensorMap.get(dataId);
    return resource === undefined || resource === null ? values as tf.TypedArray : undefined;
  }

  /** A tensor without numbers yet. */
  output(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo {
    return this.backend.makeTensorInfo([...shape], dtype);
  }

  /** A number that tells buffers apart. */
  numberOf(buffer: GPUBuffer): number {
    const known = this.#numbers.get(buffer);
    if (known !== undefined) return known;
    this.#numbers.set(buffer, ++this.#count);
    return this.#count;
  }

  /** The layout of bindings: a letter for each, w for those that are written, r for those that are read, u for parameters. */
  layoutOf(kinds: string): GPUBindGroupLayout {
    const known = this.#layouts.get(kinds);
    if (known !== undefined) return known;
    const types: Readonly<Record<string, GPUBufferBindingType>> = {
      r: "read-only-storage",
      u: "uniform",
      w: "storage",
    };
    const layout = this.device.createBindGroupLayout({
      entries: [...kinds].map((kind, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: types[kind] },
      })),
    });
    this.#layouts.set(kinds, layout);
    return layout;
  }

  /** The pipeline of a kernel's text; equal texts have one. */
  pipelineOf(text: string, kinds: string): GPUComputePipeline {
    const known = this.#pipelines.get(text);
    if (known !== undefined) return known;
    const pipeline = this.device.createComputePipeline({
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [this.layoutOf(kinds)] }),
      compute: { module: this.device.createShaderModule({ code: text }), entryPoint: "main" },
    });
    this.#pipelines.set(text, pipeline);
    return pipeline;
  }
}

const gpus = new WeakMap<WebGPUBackend, Gpu>();

/** The GPU of tfjs's backend, which must be the one in use. */
export function gpuInUse(): Gpu {
  const backend = tf.findBackend("webgpu") as WebGPUBackend;
  let gpu = gpus.get(backend);
  if (gpu === undefined) gpus.set(backend, gpu = new Gpu(backend));
  return gpu;
}

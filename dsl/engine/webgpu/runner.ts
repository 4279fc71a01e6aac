/**
 * Runs dispatches over planned memory, all of them in one submission.
 *
 * @module
 */
import type { Gpu } from "./gpu.ts";

/** A kernel, and what it is bound to. */
export interface RunnableDispatch {
  /** All of its WGSL. */
  readonly text: string;
  /** Numbers that it reads. */
  readonly params: readonly number[];
  /** Groups of threads. */
  readonly groups: readonly [x: number, y: number, z: number];
  /** The memory that it is bound to, by its number. */
  readonly bindings: readonly { readonly root: number; readonly isWritable: boolean }[];
}

/** What is run, and where its memory is. */
export interface Runnable {
  /** In order. */
  readonly dispatches: readonly RunnableDispatch[];
  /** Offsets in the arena of the memory that is there; all other memory has buffers of its own. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Bytes of the arena. */
  readonly arenaBytes: number;
  /** Bytes of some memory. */
  readonly bytesOf: (root: number) => number;
}

/** Sets of bindings of a dispatch that are remembered: memory that is given in turns has a few. */
const REMEMBERED = 8;

/** A dispatch on its device. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly groups: readonly [number, number, number];
  readonly bindings: RunnableDispatch["bindings"];
  readonly params: GPUBufferBinding | undefined;
  /** The roots that have buffers of their own. */
  readonly outside: readonly number[];
  readonly groupsOf: Map<string, GPUBindGroup>;
}

/** Runs dispatches again and again. */
export class Runner {
  readonly #arena: GPUBuffer;
  readonly #params: GPUBuffer | undefined;
  readonly #ready: readonly Ready[];

  /**
   * @param gpu The GPU
   * @param runnable What is run
   */
  constructor(readonly gpu: Gpu, readonly runnable: Runnable) {
    const { device } = gpu;
    this.#arena = device.createBuffer({ size: Math.max(4, runnable.arenaBytes), usage: GPUBufferUsage.STORAGE });
    const places = new Map<string, number>();
    const numbers: number[] = [];
    const aligned = device.limits.minUniformBufferOffsetAlignment / 4;
    for (const { params } of runnable.dispatches) {
      if (params.length === 0 || places.has(`${params}`)) continue;
      while (numbers.length % aligned !== 0) numbers.push(0);
      places.set(`${params}`, numbers.length * 4);
      numbers.push(...params, ...Array((4 - params.length % 4) % 4).fill(0));
    }
    if (numbers.length > 0) {
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      this.#params = device.createBuffer({ size: numbers.length * 4, usage });
      device.queue.writeBuffer(this.#params, 0, Uint32Array.from(numbers));
    }
    this.#ready = runnable.dispatches.map(({ text, params, groups, bindings }): Ready => {
      const kinds = bindings.map(({ isWritable }) => isWritable ? "w" : "r").join("") + (params.length > 0 ? "u" : "");
      const size = Math.ceil(params.length / 4) * 16;
      return {
        pipeline: gpu.pipelineOf(text, kinds),
        layout: gpu.layoutOf(kinds),
        groups,
        bindings,
        params: params.length === 0 ? undefined : { buffer: this.#params!, offset: places.get(`${params}`)!, size },
        outside: bindings.flatMap(({ root }) => runnable.offsets.has(root) ? [] : [root]),
        groupsOf: new Map(),
      };
    });
  }

  /**
   * Puts all dispatches into a pass.
   *
   * @param encoder Where commands are collected
   * @param bufferOf The buffer of memory outside of the arena
   */
  encode(encoder: GPUCommandEncoder, bufferOf: (root: number) => GPUBuffer): void {
    const pass = encoder.beginComputePass();
    for (const ready of this.#ready) {
      pass.setPipeline(ready.pipeline);
      pass.setBindGroup(0, this.#bindGroup(ready, bufferOf));
      pass.dispatchWorkgroups(...ready.groups);
    }
    pass.end();
  }

  #bindGroup(
    { layout, bindings, params, outside, groupsOf }: Ready,
    bufferOf: (root: number) => GPUBuffer,
  ): GPUBindGroup {
    const key = outside.map((root) => this.gpu.numberOf(bufferOf(root))).join();
    const known = groupsOf.get(key);
    if (known !== undefined) return known;
    const { offsets, bytesOf } = this.runnable;
    const entries = bindings.map(({ root }, binding): GPUBindGroupEntry => {
      const offset = offsets.get(root);
      const size = bytesOf(root);
      return {
        binding,
        resource: offset === undefined ? { buffer: bufferOf(root), size } : { buffer: this.#arena, offset, size },
      };
    });
    if (params !== undefined) entries.push({ binding: bindings.length, resource: params });
    if (groupsOf.size >= REMEMBERED) groupsOf.delete(groupsOf.keys().next().value!);
    const group = this.gpu.device.createBindGroup({ layout, entries });
    groupsOf.set(key, group);
    return group;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#arena.destroy();
    this.#params?.destroy();
  }
}

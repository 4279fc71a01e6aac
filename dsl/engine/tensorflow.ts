/**
 * TensorFlow's C library through tfjs-node's addon, for CPUs and CUDA GPUs.
 *
 * @module
 */

/** Makes the tensorflow backend ready. */
export function openTensorflow(): Promise<string> {
  return Promise.reject(new Error("not installed: run `deno task native`"));
}

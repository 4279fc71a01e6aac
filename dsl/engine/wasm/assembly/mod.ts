// Kernels over the memory of tfjs-wasm: addresses and sizes in, results in place. Strides and steps are in bytes, sizes
// in floats.

export { matmul, workBytes } from "./matmul";
export { initialise } from "./maths";
export * from "./elementwise";
export * from "./fused";
export * from "./reduce";
export { copyRows, gather, repeat, transpose, transposeBlocks } from "./move";

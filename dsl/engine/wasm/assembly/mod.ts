// Kernels over the memory of tfjs-wasm: addresses and sizes in, results in place. Strides and steps are in bytes, sizes
// in floats.

export { attend } from "./attend";
export { convolve, matmul, workBytes } from "./matmul";
export { initialise } from "./maths";
export * from "./elementwise";
export * from "./fused";
export { multiplyHalf } from "./half";
export { crossEntropyGradient } from "./loss";
export * from "./reduce";
export { collect } from "./convolve";
export { gatherStored, multiplyStored, widen } from "./stored";
export { copyBlocks, copyRows, gather, permute, repeat, transpose, transposeBlocks } from "./move";
export { convolveTiles, turnFilter } from "./winograd";

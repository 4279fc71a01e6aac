/**
 * The methods as functions: those that {@linkcode at} places on layers, and those that change a whole model.
 *
 * @module
 */
export { bitfit } from "./bitfit.ts";
export { difffit } from "./difffit.ts";
export { dora } from "./dora.ts";
export { ia3 } from "./ia3.ts";
export { lora } from "./lora.ts";
export { miss } from "./miss.ts";
export { mora1, mora6 } from "./mora.ts";
export { oneLora } from "./one_lora.ts";
export { all, head, labels, norms } from "./parts.ts";
export { scale } from "./scale.ts";
export { vera } from "./vera.ts";

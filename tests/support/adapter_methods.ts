/** The methods of `fixtures/adapters`. @module */

/** Fixture name -> specification of the same method. */
export const methods: Readonly<Record<string, string>> = {
  "1lora": "1lora",
  "1lora-random": "1lora:compression=random",
  "lora-r1": "lora:rank=1,alpha=8",
  "lora-r4": "lora:rank=4,alpha=8",
  "rslora-r4": "rslora:rank=4,alpha=8",
  "dora-r2": "dora:rank=2,alpha=8",
  "vera-r1": "vera",
  "vera-r3": "vera:rank=3",
  mora1: "mora1",
  mora6: "mora6",
  bitfit: "bitfit",
  difffit: "difffit",
  scale: "scale",
  norms: "norms",
  "1lora+norms": "1lora+norms",
  "1lora+bias+scale+norms": "1lora+bias+scale+norms",
  "bitfit+norms": "bitfit+norms",
  all: "all",
  "miss-r4": "miss:rank=4",
  ia3: "ia3:feedforward=encoder.layer.*.output.dense",
};

/**
 * Names of methods that between them are everything that a method does: what is shown of all on one engine, these show on the
 * others, whose kernels are what may differ.
 */
export const variedMethods = ["1lora", "dora-r2", "vera-r3", "mora6", "difffit", "miss-r4", "ia3", "all"];

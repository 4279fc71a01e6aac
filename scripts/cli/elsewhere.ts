/**
 * What flags are called elsewhere: in transformers, PEFT and their scripts.
 *
 * @module
 */

/** Our flag by the name that it has there. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  "learning-rate": "lr",
  "num-epochs": "epochs",
  "num-train-epochs": "epochs",
  "max-steps": "steps",
  "per-device-train-batch-size": "batch-size",
  "train-batch-size": "batch-size",
  // Of two commands here.
  "batch": "batch-size",
  "batch-size": "batch",
  "per-device-eval-batch-size": "eval-batch",
  "gradient-accumulation-steps": "accumulate",
  "lr-scheduler-type": "schedule",
  "warmup-ratio": "warmup",
  "max-grad-norm": "clip",
  "eval-steps": "eval-every",
  "save-steps": "checkpoint-every",
  "report-to": "log",
  "output-dir": "out",
  "output": "out",
  "resume-from-checkpoint": "resume",
  "model-name-or-path": "model",
  "base-model": "model",
  "dataset": "data",
  "dataset-name": "data",
  "data-path": "data",
  "train-file": "data",
  "max-seq-length": "length",
  "max-length": "length",
  "packing": "pack",
  "method": "adapter",
  "peft-type": "adapter",
  "r": "rank",
  "lora-r": "rank",
  "lora-rank": "rank",
  "lora-alpha": "alpha",
  "lora-dropout": "dropout",
  "target-modules": "target",
  "lora-target-modules": "target",
  "bf16": "precision",
  "dtype": "precision",
  "load-in-8bit": "quantise",
  "load-in-4bit": "quantise",
  "max-new-tokens": "max-tokens",
};

/**
 * The flag that somebody means who writes another tool's name for it.
 *
 * @param name A name without its dashes, also with underscores: `lora_alpha`
 * @param names The flags there are, without their dashes
 */
export function flagMeant(name: string, names: readonly string[]): string | undefined {
  const plain = name.replaceAll("_", "-").toLowerCase();
  const ours = Object.hasOwn(ELSEWHERE, plain) ? ELSEWHERE[plain] : plain;
  return names.includes(ours) ? ours : undefined;
}

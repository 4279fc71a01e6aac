/**
 * A long run with evaluations and checkpoints that says what tfjs holds: a line for every hundred steps, of the step, live
 * tensors, live buffers, buffers that the engine knows of, and megabytes of tensors.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { fineTune } from "../../../tasks/mod.ts";
import type { BackendName } from "../../../dsl/mod.ts";
import { attempt } from "../../cli/attempt.ts";
import { integer, main, required, text } from "../../cli/mod.ts";
import { backendFlag } from "../../cli/options.ts";

await main(
  {
    name: "long_run",
    summary: "A long run that counts tensors.",
    flags: {
      ...backendFlag,
      steps: integer({ help: "Steps", min: 1, default: 10_000 }),
      evalEvery: integer({ help: "Steps between evaluations", min: 1, default: 5 }),
      out: required(text({ help: "The run's folder", value: "DIR" })),
    },
  },
  attempt(async ({ options: { backend, threads, steps, evalEvery, out } }) => {
    using _tuned = await fineTune({
      task: "image-classification",
      backend: backend as BackendName,
      threads,
      steps,
      evalEvery,
      checkpointEvery: 50,
      limit: 2,
      batchSize: 1,
      workers: 1,
      out,
      onStep: ({ step }) => {
        if (step % 100 !== 0) return;
        const { numTensors, numDataBuffers, numBytes } = tf.memory();
        console.log(
          [step, numTensors, numDataBuffers, tf.backend().numDataIds(), (numBytes / 1e6).toFixed(1)].join(" "),
        );
      },
    });
  }),
);

/**
 * The same step in plain tfjs: ordinary operations on stock tfjs-wasm, `tf.variableGrads` through its Adam optimiser, no
 * gradients of ours, no compiler: `plain.ts JOB`.
 *
 * @module
 */
import "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
// Registers tfjs-core's gradients.
import "@tensorflow/tfjs-layers";
import { answer, exampleBatch, measureStep, type ReadyStep, sides, type StepJob } from "./job.ts";
import { type Weight, weightsOf } from "./weights.ts";

/** The linear layers that 1LoRA goes to, in a block. */
const linears = [
  "attention.attention.query",
  "attention.attention.key",
  "attention.attention.value",
  "attention.output.dense",
  "intermediate.dense",
  "output.dense",
];

/** 1LoRA's vectors and the head: what is trained. */
type Trained = Readonly<Record<string, tf.Variable>>;

/** A linear layer's weight as tfjs's dense layers keep it: [in, out]. */
function kernelOf({ shape, values }: Weight): tf.Tensor2D {
  return tf.tidy(() => tf.transpose(tf.tensor2d(values, [shape[0], shape[1]])));
}

/** The model: pixels [B, H, W, C] to logits. */
function forward(
  config: StepJob["config"],
  frozen: ReadonlyMap<string, tf.Tensor>,
  trained: Trained,
  pixels: tf.Tensor4D,
): tf.Tensor2D {
  const { hidden_size: width, num_attention_heads: heads, layer_norm_eps: epsilon } = config;
  const get = (path: string) => frozen.get(path)!;
  const norm = (x: tf.Tensor, path: string) => {
    const { mean, variance } = tf.moments(x, -1, true);
    const standard = tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, epsilon)));
    return tf.add(tf.mul(standard, get(`${path}.weight`)), get(`${path}.bias`));
  };
  // Listing 1 of the paper.
  const linear = (x: tf.Tensor, path: string) => {
    const rows = tf.reshape(x, [-1, x.shape[x.shape.length - 1]]);
    const y = tf.add(tf.matMul(rows, get(`${path}.weight`) as tf.Tensor2D), get(`${path}.bias`));
    const adapted = tf.add(y, tf.mul(tf.sum(rows, -1, true), trained[path]));
    return tf.reshape(adapted, [...x.shape.slice(0, -1), -1]);
  };
  const split = (x: tf.Tensor) =>
    tf.transpose(tf.reshape(x, [x.shape[0], x.shape[1]!, heads, width / heads]), [0, 2, 1, 3]);
  const attention = (x: tf.Tensor, path: string) => {
    const [q, k, v] = ["query", "key", "value"].map((name) => split(linear(x, `${path}.attention.${name}`)));
    const scores = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width / heads)));
    const mixed = tf.reshape(tf.transpose(tf.matMul(scores, v), [0, 2, 1, 3]), x.shape);
    return linear(mixed, `${path}.output.dense`);
  };
  const gelu = (x: tf.Tensor) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));

  const patches = tf.conv2d(
    pixels,
    get("embeddings.patch_embeddings.projection.weight") as tf.Tensor4D,
    [...sides(config.patch_size)],
    "valid",
  );
  const tokens = tf.add(
    tf.reshape(patches, [pixels.shape[0], -1, width]),
    get("embeddings.patch_embeddings.projection.bias"),
  );
  const first = tf.tile(get("embeddings.cls_token"), [pixels.shape[0], 1, 1]);
  let x = tf.add(tf.concat([first, tokens], 1), get("embeddings.position_embeddings"));
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const path = `encoder.layer.${i}`;
    x = tf.add(x, attention(norm(x, `${path}.layernorm_before`), `${path}.attention`));
    const up = gelu(linear(norm(x, `${path}.layernorm_after`), `${path}.intermediate.dense`));
    x = tf.add(x, linear(up, `${path}.output.dense`));
  }
  const classToken = tf.reshape(tf.slice(x, [0, 0, 0], [-1, 1, -1]), [-1, width]);
  const head = tf.matMul(
    norm(classToken, "layernorm") as tf.Tensor2D,
    trained["classifier.weight"] as tf.Variable<tf.Rank.R2>,
  );
  return tf.add(head, trained["classifier.bias"]);
}

async function prepare(job: StepJob): Promise<ReadyStep> {
  const { config } = job;
  const weights = await weightsOf(job);
  const frozen = new Map<string, tf.Tensor>();
  for (const [path, weight] of weights) {
    const { shape, values } = weight;
    if (path.includes("patch_embeddings") && shape.length === 4) {
      frozen.set(path, tf.tidy(() => tf.transpose(tf.tensor(values, [...shape]), [2, 3, 1, 0])));
    } else frozen.set(path, shape.length === 2 ? kernelOf(weight) : tf.tensor(values, [...shape]));
  }
  const adapted = Array.from(
    { length: config.num_hidden_layers },
    (_, i) => linears.map((name) => `encoder.layer.${i}.${name}`),
  ).flat();
  const trained: Trained = {
    ...Object.fromEntries(
      adapted.map((path) => [path, tf.variable(tf.zeros(weights.get(`${path}.bias`)!.shape as number[]))]),
    ),
    ...Object.fromEntries(
      ["classifier.weight", "classifier.bias"].map((path) => [path, tf.variable(frozen.get(path)!)]),
    ),
  };
  const { pixels, shape, labels } = exampleBatch(job);
  const classes = Object.keys(config.id2label).length;
  const optimiser = tf.train.adam(job.rate, 0.9, 0.999, 1e-8);
  return async () => {
    const loss = tf.tidy(() => {
      const images = tf.transpose(tf.tensor4d(pixels, [...shape]), [0, 2, 3, 1]);
      const targets = tf.oneHot(tf.tensor1d(labels, "int32"), classes);
      const { value, grads } = optimiser.computeGradients(() =>
        tf.losses.softmaxCrossEntropy(targets, forward(config, frozen, trained, images))
      );
      // AdamW's decay.
      for (const variable of Object.values(trained)) {
        variable.assign(tf.mul(variable, 1 - job.rate * job.weightDecay));
      }
      optimiser.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
      return value;
    });
    const [value] = await loss.data();
    loss.dispose();
    return value;
  };
}

/** Packages of backends that are loaded where they are asked for. */
const PACKAGES: Readonly<Record<string, string>> = { webgpu: "@tensorflow/tfjs-backend-webgpu" };

await answer(async (job: StepJob) => {
  const specifier = PACKAGES[job.backend];
  if (specifier !== undefined) await import(specifier);
  await tf.setBackend(job.backend);
  await tf.ready();
  tf.dispose(tf.add(tf.ones([2]), 1));
  return await measureStep(`tfjs ${tf.version_core}, stock ${job.backend} backend`, job, () => prepare(job));
});

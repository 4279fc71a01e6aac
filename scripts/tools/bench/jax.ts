/**
 * The same step in jax-js on its wasm or webgpu backend, the whole of it in one `jit`: `jax.ts JOB`. The package is fetched on
 * first use and is none of those that a checkout needs.
 *
 * @module
 */
import { answer, exampleBatch, measureStep, type ReadyStep, sides, type StepJob } from "./job.ts";
import { weightsOf } from "./weights.ts";

/** jax-js. */
const PACKAGE = "npm:@jax-js/jax@0.1.25";

/** What is used of its arrays. Every use of one counts as its last unless it is through `ref`. */
interface Jax {
  readonly ref: Jax;
  readonly shape: readonly number[];
  add(other: Jax | number): Jax;
  sub(other: Jax | number): Jax;
  mul(other: Jax | number): Jax;
  div(other: Jax | number): Jax;
  sum(axis?: number, options?: { readonly keepdims: boolean }): Jax;
  mean(axis?: number, options?: { readonly keepdims: boolean }): Jax;
  reshape(shape: readonly number[]): Jax;
  transpose(permutation: readonly number[]): Jax;
  data(): Promise<ArrayLike<number>>;
}

/** Arrays by name. */
type Arrays = Readonly<Record<string, Jax>>;

/** What is used of jax-js. */
interface Library {
  readonly init: (...devices: readonly string[]) => Promise<readonly string[]>;
  readonly defaultDevice: (device: string) => string;
  readonly jit: <F>(f: F) => F;
  readonly valueAndGrad: <Rest extends readonly Jax[]>(
    f: (trained: Arrays, frozen: Arrays, ...rest: Rest) => Jax,
  ) => (trained: Arrays, frozen: Arrays, ...rest: Rest) => readonly [Jax, Arrays];
  readonly numpy: {
    readonly int32: unknown;
    array(
      values: Float32Array | Int32Array,
      options: { readonly shape: readonly number[]; readonly dtype?: unknown },
    ): Jax;
    matmul(a: Jax, b: Jax): Jax;
    concatenate(parts: readonly Jax[], axis: number): Jax;
    tile(x: Jax, repeats: readonly number[]): Jax;
    split(x: Jax, at: readonly number[], axis: number): readonly Jax[];
    sqrt(x: Jax): Jax;
    power(base: number, exponent: Jax): Jax;
    zerosLike(x: Jax): Jax;
  };
  readonly nn: {
    dotProductAttention(q: Jax, k: Jax, v: Jax): Jax;
    gelu(x: Jax, options: { readonly approximate: boolean }): Jax;
    standardize(x: Jax, axis: number, options: { readonly epsilon: number }): Jax;
    logSoftmax(x: Jax, axis: number): Jax;
    oneHot(labels: Jax, classes: number): Jax;
  };
}

/** Cross-entropy of the model with 1LoRA on every linear layer. */
function lossOf({ numpy: np, nn }: Library, config: StepJob["config"]) {
  const { hidden_size: width, num_attention_heads: heads, layer_norm_eps: epsilon, num_channels: channels } = config;
  const [[height, across], [rows, columns]] = [sides(config.image_size), sides(config.patch_size)];
  const classes = Object.keys(config.id2label).length;
  return (trained: Arrays, frozen: Arrays, pixels: Jax, labels: Jax): Jax => {
    const batch = pixels.shape[0];
    const get = (path: string) => frozen[path].ref;
    const affine = (x: Jax, path: string) => np.matmul(x, get(`${path}.weight`)).add(get(`${path}.bias`));
    const norm = (x: Jax, path: string) =>
      nn.standardize(x, -1, { epsilon }).mul(get(`${path}.weight`)).add(get(`${path}.bias`));
    // Listing 1 of the paper.
    const linear = (x: Jax, path: string) =>
      affine(x.ref, path).add(x.sum(-1, { keepdims: true }).mul(trained[path].ref));
    const split = (x: Jax) => x.reshape([batch, x.shape[1], heads, width / heads]);
    const attention = (x: Jax, path: string) => {
      const [q, k, v] = ["query", "key", "value"].map((name) => split(linear(x.ref, `${path}.attention.${name}`)));
      const mixed = nn.dotProductAttention(q, k, v).reshape(x.shape);
      return linear(mixed, `${path}.output.dense`);
    };

    const patches = pixels.reshape([batch, channels, height / rows, rows, across / columns, columns])
      .transpose([0, 2, 4, 1, 3, 5]).reshape([batch, (height / rows) * (across / columns), channels * rows * columns]);
    const tokens = affine(patches, "embeddings.patch_embeddings.projection");
    const first = np.tile(get("embeddings.cls_token"), [batch, 1, 1]);
    let x = np.concatenate([first, tokens], 1).add(get("embeddings.position_embeddings"));
    for (let i = 0; i < config.num_hidden_layers; i++) {
      const path = `encoder.layer.${i}`;
      x = x.ref.add(attention(norm(x, `${path}.layernorm_before`), `${path}.attention`));
      const up = linear(norm(x.ref, `${path}.layernorm_after`), `${path}.intermediate.dense`);
      x = x.add(linear(nn.gelu(up, { approximate: false }), `${path}.output.dense`));
    }
    const [classToken] = np.split(x, [1], 1);
    const final = norm(classToken.reshape([batch, width]), "layernorm");
    const logits = np.matmul(final, trained["classifier.weight"].ref).add(trained["classifier.bias"].ref);
    return nn.logSoftmax(logits, -1).mul(nn.oneHot(labels, classes)).sum().div(-batch);
  };
}

/** AdamW on arrays by name: the new parameters, means and squares. */
function adamw({ numpy: np }: Library, { rate, weightDecay }: StepJob) {
  return (trained: Arrays, gradients: Arrays, means: Arrays, squares: Arrays, t: Jax) => {
    const correction1 = np.power(0.9, t.ref).mul(-1).add(1);
    const correction2 = np.power(0.999, t).mul(-1).add(1);
    const moved = Object.keys(trained).map((path) => {
      const gradient = gradients[path];
      const mean = means[path].mul(0.9).add(gradient.ref.mul(0.1));
      const square = squares[path].mul(0.999).add(gradient.ref.mul(gradient).mul(0.001));
      const root = np.sqrt(square.ref.div(correction2.ref)).add(1e-8);
      const change = mean.ref.div(correction1.ref).div(root).mul(rate);
      return [path, trained[path].mul(1 - rate * weightDecay).sub(change), mean, square] as const;
    });
    const at = (index: 1 | 2 | 3): Arrays => Object.fromEntries(moved.map((each) => [each[0], each[index]]));
    return [at(1), at(2), at(3)] as const;
  };
}

function each(arrays: Arrays, f: (array: Jax) => Jax): Arrays {
  return Object.fromEntries(Object.entries(arrays).map(([path, array]) => [path, f(array)]));
}

async function prepare(jax: Library, job: StepJob): Promise<ReadyStep> {
  const { numpy: np } = jax;
  const { config } = job;
  const weights = await weightsOf(job);
  const arrays: Record<string, Jax> = {};
  for (const [path, { shape, values }] of weights) {
    const [rows, columns] = [shape[0], values.length / shape[0]];
    const isKernel = shape.length === 2 || shape.length === 4;
    // [out, in] becomes [in, out], as jax's layers have it.
    const kernel = () => values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
    arrays[path] = isKernel ? np.array(kernel(), { shape: [columns, rows] }) : np.array(values, { shape });
  }
  const { "classifier.weight": head, "classifier.bias": bias, ...frozen } = arrays;
  const linears = Object.keys(frozen).filter((path) => /encoder.*dense\.weight|(query|key|value)\.weight/.test(path))
    .map((path) => path.replace(/\.weight$/, ""));
  let trained: Arrays = {
    ...Object.fromEntries(linears.map((path) => [path, np.zerosLike(frozen[`${path}.bias`].ref)])),
    "classifier.weight": head,
    "classifier.bias": bias,
  };
  let [means, squares] = [each(trained, ({ ref }) => np.zerosLike(ref)), each(trained, ({ ref }) => np.zerosLike(ref))];
  const differentiated = jax.valueAndGrad(lossOf(jax, config));
  const update = adamw(jax, job);
  const step = jax.jit(
    (moving: Arrays, fixed: Arrays, m: Arrays, v: Arrays, t: Jax, pixels: Jax, labels: Jax) => {
      const [loss, gradients] = differentiated(each(moving, ({ ref }) => ref), fixed, pixels, labels);
      return [loss, ...update(moving, gradients, m, v, t)] as const;
    },
  );
  const { pixels, shape, labels } = exampleBatch(job);
  let t = 0;
  return async () => {
    const [loss, ...next] = step(
      trained,
      each(frozen, ({ ref }) => ref),
      means,
      squares,
      np.array(Float32Array.of(++t), { shape: [] }),
      np.array(pixels, { shape }),
      np.array(labels, { shape: [labels.length], dtype: np.int32 }),
    );
    [trained, means, squares] = next;
    const [value] = Array.from(await loss.data());
    await Promise.all(Object.values(trained).map(({ ref }) => ref.data()));
    return value;
  };
}

await answer(async (job: StepJob) => {
  // Not a literal at the point of import, which would put the package into the lock file.
  const specifier = PACKAGE;
  const jax = await import(specifier) as Library;
  await jax.init(job.backend);
  jax.defaultDevice(job.backend);
  await jax.numpy.array(Float32Array.of(1, 2), { shape: [2] }).add(1).data();
  return await measureStep(
    `${PACKAGE.slice("npm:@jax-js/".length).replace("@", "-js ")}, ${job.backend} backend`,
    job,
    () => prepare(jax, job),
  );
});

/**
 * AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019), step for step as torch.optim.AdamW.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernel } from "../engine/kernels.ts";
import type { Params, Path } from "../tree.ts";
import { elementwise, prefixed, under, zerosUnder } from "./bundle.ts";
import type { Optimiser } from "./optimiser.ts";

/** Settings of {@linkcode adamw}. */
export interface AdamwOptions {
  /** Decay of the mean of gradients (default 0.9). */
  readonly beta1?: number;
  /** Decay of the mean of squared gradients (default 0.999). */
  readonly beta2?: number;
  /** Added to the denominator (default 1e-8). */
  readonly epsilon?: number;
  /** Weight decay, multiplied by the rate (default 0.01). */
  readonly weightDecay?: number;
  /** Which parameters decay (default all). */
  readonly decays?: (path: Path, tensor: tf.Tensor) => boolean;
  /** What parameters are changes of, by their paths: p0, where decay acts on p0 + p (default nothing). */
  readonly origins?: Params;
  /** Factor of the rate for each parameter, decay included (default 1 for all). */
  readonly factorOf?: (path: Path) => number;
}

/** Paths by the factor of their rate, in the order of their first one. */
function byFactor(params: Params, factorOf: (path: Path) => number): ReadonlyMap<number, readonly Path[]> {
  const groups = new Map<number, Path[]>();
  for (const path of Object.keys(params)) {
    const factor = factorOf(path);
    groups.set(factor, [...groups.get(factor) ?? [], path]);
  }
  return groups;
}

/**
 * p <- p - rate λ p; m <- β1 m + (1-β1) g; v <- β2 v + (1-β2) g²; p <- p - rate m̂ / (√v̂ + ε), with
 * m̂ = m / (1 - β1^t) and v̂ = v / (1 - β2^t).
 *
 * Of a parameter that is a change of another, p0, the sum decays: p <- p - rate λ (p0 + p). With factors, rate is each
 * parameter's own, as with torch's parameter groups.
 *
 * State: `m.<path>`, `v.<path>` and the step count `t`.
 *
 * @param options See {@linkcode AdamwOptions}
 *
 * @example
 * ```ts
 * import { adamw, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const optimiser = adamw({ weightDecay: 0 });
 * const params = { b: tf.tensor1d([1]) };
 * const { params: next } = optimiser.update({ b: tf.tensor1d([5]) }, optimiser.init(params), params, tf.scalar(0.1));
 * // The first step goes by the rate, whatever the gradient's size.
 * assertAlmostEquals(next.b.dataSync()[0], 0.9, 1e-6);
 * ```
 */
export function adamw(options: AdamwOptions = {}): Optimiser {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01, decays, origins = {}, factorOf = () => 1 } =
    options;
  return {
    init: (params) => ({ ...zerosUnder(params, "m"), ...zerosUnder(params, "v"), t: tf.scalar(0) }),
    update: (gradients, state, params, rate, momentum) =>
      tf.tidy(() => {
        const [means, squares] = [under(state, "m", params), under(state, "v", params)];
        const t = tf.add(state.t, 1);
        // 1 - β^t = -expm1(t ln β) keeps its digits where β^t is near 1.
        const correction = (logarithm: tf.Tensor | number) => tf.neg(tf.expm1(tf.mul(t, logarithm)));
        const correction1 = correction(momentum === undefined ? Math.log(beta1) : tf.log(momentum));
        const root2 = tf.sqrt(correction(Math.log(beta2)));
        const fresh = momentum === undefined ? tf.scalar(1 - beta1) : tf.sub(1, momentum);
        // rate m̂ / (√v̂ + ε) = (rate root2 / correction1) m / (√v + ε root2): what is not elementwise is done once.
        const step = tf.div(tf.mul(rate, root2), correction1);
        const floor = tf.mul(root2, epsilon);
        const lost = tf.mul(rate, weightDecay);
        const same = tf.scalar(1);

        /** One update of some parameters, which all learn at a factor of the rate. */
        const updated = (paths: readonly Path[], factor: number): readonly Params[] => {
          const scaled = (scalar: tf.Tensor) => factor === 1 ? scalar : tf.mul(scalar, factor);
          const [ownStep, ownLost] = [scaled(step), scaled(lost)];
          const shrink = tf.sub(1, ownLost);
          const of = (tree: Params) => Object.fromEntries(paths.map((path) => [path, tree[path]]));
          const [next, m, v] = elementwise(
            [params, gradients, means, squares].map(of),
            ([p, g, m, v], decay) => {
              const kept = decay && weightDecay !== 0 ? shrink : same;
              const own = ownKernel("AdamwStep", { p, g, m, v, step: ownStep, floor, shrink: kept, fresh }, { beta2 });
              if (own !== undefined) return own;
              const mean = tf.add(m, tf.mul(tf.sub(g, m), fresh));
              const square = tf.add(tf.mul(v, beta2), tf.mul(tf.square(g), 1 - beta2));
              const change = tf.mul(tf.div(mean, tf.add(tf.sqrt(square), floor)), ownStep);
              return [tf.sub(decay && weightDecay !== 0 ? tf.mul(p, shrink) : p, change), mean, square];
            },
            decays,
          );
          const decayed = weightDecay === 0 ? next : Object.fromEntries(
            Object.entries(next).map(([path, tensor]) => {
              const origin = decays?.(path, params[path]) === false ? undefined : origins[path];
              return [path, origin === undefined ? tensor : tf.sub(tensor, tf.mul(origin, ownLost))];
            }),
          );
          return [decayed, m, v];
        };

        const groups = [...byFactor(params, factorOf)].map(([factor, paths]) => updated(paths, factor));
        /** The trees of all groups as one, in the parameters' order. */
        const whole = (place: number): Params => {
          const found: Params = Object.assign({}, ...groups.map((group) => group[place]));
          return Object.fromEntries(Object.keys(params).map((path) => [path, found[path]]));
        };
        const [next, m, v] = [0, 1, 2].map(whole);
        return { params: next, state: { ...prefixed(m, "m"), ...prefixed(v, "v"), t } };
      }),
  };
}

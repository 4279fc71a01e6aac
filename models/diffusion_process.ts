/**
 * The noise that a diffusion model was trained under, and what it predicts, as data.
 *
 * @module
 */
import type { OneloraError } from "../dsl/error.ts";

/** A process of T steps, and how its samples are drawn. */
export interface DiffusionProcess {
  /** How samples are drawn whatever their number of steps; without it, few steps by DDIM and many by DDPM. */
  readonly method?: "ddpm" | "ddim";
  /** beta_t, the variance that step t adds. */
  readonly betas: readonly number[];
  /** What the model's output is: the noise, sqrt(abar_t) noise - sqrt(1 - abar_t) x_0, or x_0. */
  readonly prediction: "epsilon" | "v_prediction" | "sample";
  /** A DDPM step's variance: the posterior's, beta_t, or the model's own where it learns one. */
  readonly variance: "fixed_small" | "fixed_large" | "learned_range";
  /** What predicted x_0 are cut to, either way; true is 1 for pixels and nothing for latents. */
  readonly clip: number | boolean;
  /** Where the steps of a shorter process lie: DiT's, or one of diffusers'. */
  readonly spacing: "even" | "leading" | "trailing" | "linspace";
  /** Added to the steps of "leading". */
  readonly offset: number;
  /** abar before the first step: 1, or that of step 0. */
  readonly lastSignal: "one" | "first";
  /** Why nothing can be made of it, where its files ask for what is not known here. */
  readonly refused?: OneloraError;
}

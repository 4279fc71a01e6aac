/**
 * The optimiser of a run, as its settings have it.
 *
 * @module
 */
import { accumulate, adamw, averaging, chain, clipByGlobalNorm, ema, type Optimiser } from "../../dsl/optimise/mod.ts";
import type { Params } from "../../dsl/tree.ts";
import type { LrFactors } from "./lr_factor.ts";
import type { Run } from "./run_settings.ts";
import { isBatchInvariant } from "./shares.ts";

/** What of a run decides it. */
export type OptimiserSettings =
  & Parameters<typeof isBatchInvariant>[0]
  & Pick<Run, "weightDecay" | "clip" | "ema" | "accumulate">;

/**
 * AdamW, clipped, averaged and of several parts, where the run is.
 *
 * @param run The run
 * @param origins What parameters are changes of (default nothing), see `adamw`
 * @param factorOf Factors of the rate (default 1)
 */
export function optimiserOf(run: OptimiserSettings, origins: Params = {}, factorOf?: LrFactors["factorOf"]): Optimiser {
  const { weightDecay, clip, ema: decay = 0 } = run;
  // Shares are added up outside.
  const parts = isBatchInvariant(run) ? 1 : run.accumulate ?? 1;
  const plain = adamw({ weightDecay, origins, factorOf });
  const clipped = clip > 0 ? chain(clipByGlobalNorm(clip))(plain) : plain;
  return accumulate(parts)(decay > 0 ? averaging(ema(decay))(clipped) : clipped);
}

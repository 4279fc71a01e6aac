/**
 * What a sweep is refused for before it begins, since it could only fail or mislead.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { taskKind } from "../../../tasks/mod.ts";
import type { Settings } from "./folder.ts";

/** Most metres of published models of indoor scenes. */
const INDOOR = 20;
/** Data with depth beyond that, by how their names begin, and how far it goes. */
const FAR: readonly (readonly [prefix: string, metres: number])[] = [["kitti:", 80], ["diode-outdoor:", 80]];

/** Features of models that a Fréchet distance is measured in, by how their names begin. */
const FEATURES: readonly (readonly [prefix: string, count: number])[] = [
  ["inception-v3-fid", 2048],
  ["vit-base", 768],
  ["vit-large", 1024],
];

/** Pictures from which on a Fréchet distance in Inception's features is called FID. */
const FID_SAMPLES = 10_000;

function refusal(found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted: "planning a sweep", found, allowed }, { exitCode: 2 });
}

function checkDepth(settings: Settings, first: string | undefined): void {
  const model = `${settings.model ?? ""}`;
  if (!/-indoor(=|$)/.test(model)) return;
  for (const data of [`${settings.data ?? ""}`, first ?? ""]) {
    const far = FAR.find(([prefix]) => data.startsWith(prefix));
    if (far === undefined) continue;
    const [, metres] = far;
    throw refusal(
      `${model.replace(/=.*$/s, "")}, which measures up to ${INDOOR} m, for ${data}, which has up to ${metres} m`,
      "the -outdoor model of the same size",
    );
  }
}

/** How many pictures a sweep's runs sample. */
function samplesOf(settings: Settings): number {
  const kind = taskKind("generation");
  const { own = {} } = kind.recipe(`${settings.model ?? kind.model}`, `${settings.data ?? kind.data}`);
  return Number(settings.samples ?? (own as { readonly samples?: number }).samples ?? 0);
}

function checkGeneration(settings: Settings): void {
  const features = `${settings.features ?? ""}`;
  const [name, count] = FEATURES.find(([prefix]) => features.startsWith(prefix)) ?? [];
  const samples = samplesOf(settings);
  if (count === undefined || samples === 0 || samples >= count) return;
  throw refusal(
    `a Fréchet distance of ${samples} samples in the ${count} features of ${name}, whose covariance they do not determine`,
    `--samples ${count} or more; ${FID_SAMPLES} for FID`,
  );
}

/**
 * What a generation sweep's distance may be called: FID with Inception's features and enough samples.
 *
 * @param settings What all cells share
 */
export function distanceTitle(settings: Settings): string {
  const isInception = `${settings.features ?? ""}`.startsWith("inception-v3-fid");
  return isInception && samplesOf(settings) >= FID_SAMPLES ? "FID" : "Fréchet distance";
}

/**
 * Refuses a sweep that cannot work.
 *
 * @param settings What all cells share
 * @param first What is learned before
 * @throws OneloraError (exit code 2)
 */
export function checkSettings(settings: Settings, first?: string): void {
  if (settings.task === "depth") checkDepth(settings, first);
  if (settings.task === "generation") checkGeneration(settings);
}

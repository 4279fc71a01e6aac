/**
 * Training that starts from an adapter: its parameters are the first ones, so that step 0 computes what it does.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { type AdapterConfig, readAdapterConfig } from "../../adapters/mod.ts";
import { checkBase } from "../../adapters/exchange/base.ts";
import { readAdapterHeader, readAdapterParams } from "../../adapters/exchange/load.ts";
import { parseMethods } from "../../adapters/spec.ts";
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isFileAt } from "../../dsl/files/store.ts";
import { builtin } from "../../dsl/host.ts";
import { type Layer, specs } from "../../dsl/layer.ts";
import type { Params } from "../../dsl/tree.ts";
import { type Holding, quantisedPaths } from "../../models/checkpoint/forms.ts";
import { type Model, openCheckpoint } from "../../models/mod.ts";
import { adapterFolder } from "../place.ts";
import { methodOn, NO_METHOD } from "./method.ts";
import type { MethodSettings, Run } from "./run_settings.ts";

function refuse(from: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted: `starting from ${from}`, found, allowed }, { exitCode: 2 });
}

/** Methods and their settings, with every default, in one order. */
function inFull({ adapter, rank, alpha }: MethodSettings, besides: readonly string[]): readonly string[] {
  return parseMethods(adapter, { rank, alpha }).filter(({ name }) => !besides.includes(name)).map(
    ({ name, options }) => {
      // What is dropped out changes nothing that it computes.
      const { rank: r = 1, alpha: a = r, dropout: _, ...own } = options;
      const shown = Object.entries({ rank: r, ...name === "lora" || name === "dora" ? { alpha: a } : {}, ...own });
      return `${name} (${shown.sort().map(([key, value]) => `${key} ${value}`).join(", ")})`;
    },
  ).sort();
}

/** The method settings of an adapter that training can go on with. */
function settingsOf(from: string, config: AdapterConfig, besides: readonly string[]): MethodSettings {
  const { adapter, rank, alpha, dropout, target = "all-linear", groups, whole } = config;
  if (groups !== undefined) throw refuse(from, "ranks or alphas that differ from layer to layer", "one for all layers");
  if (whole !== undefined) {
    throw refuse(from, `${whole[0]}, trained whole`, "layers that a method trains: head, norms, labels");
  }
  const kept = adapter.split("+").filter((part) => !besides.includes(part)).join("+");
  return {
    adapter: kept === "" ? adapter : kept,
    ...rank !== undefined && { rank },
    ...alpha !== undefined && { alpha },
    ...dropout !== undefined && { dropout },
    target,
  };
}

/**
 * A run's settings with the method of the adapter that it starts from. Settings that were given must say the same.
 *
 * @param run The run, `from` among its settings
 * @param model Its model
 * @param given Names of the settings that were given
 * @param besides Methods that the task trains with every other
 * @throws OneloraError (exit code 2) for a given method, rank, alpha or target that is not the adapter's
 */
export async function startingFrom<R extends Run>(
  run: R,
  model: Model,
  given: ReadonlySet<string>,
  besides: readonly string[],
): Promise<R> {
  if (run.from === undefined) return run;
  const from = await adapterFolder(run.from);
  const own = settingsOf(from, await readAdapterConfig(from, model.layer, model.modules), besides);
  if (given.has("adapter") && run.adapter === NO_METHOD) throw refuse(from, `\`adapter: ${NO_METHOD}\``, own.adapter);
  const asked: MethodSettings = {
    adapter: given.has("adapter") ? run.adapter : own.adapter,
    rank: given.has("rank") ? run.rank : own.rank,
    alpha: given.has("alpha") ? run.alpha : own.alpha,
    target: given.has("target") ? run.target : own.target,
  };
  const [wanted, there] = [inFull(asked, besides), inFull(own, besides)];
  if (`${wanted}` !== `${there}`) {
    throw refuse(from, wanted.join(" + "), `the adapter's own method, ${there.join(" + ")}`);
  }
  const places = (method: MethodSettings) => `${Object.keys(specs(methodOn(model, method, besides)))}`;
  if (places(asked) !== places(own)) {
    throw refuse(from, `\`target: ${asked.target}\``, `the adapter's own, ${own.target}`);
  }
  return { ...run, ...own, ...given.has("dropout") && { dropout: run.dropout } };
}

/**
 * Lays an adapter's parameters over a model's, in place of those that training would start from.
 *
 * @param from The adapter's folder
 * @param model The model, its classes those of the data
 * @param layer It with the method
 * @param params All first parameters; those that give way are disposed
 * @param holding What the model's weights are kept as
 * @throws OneloraError for an adapter of another method, shape or base model
 */
export async function startFrom(
  from: string,
  model: Model,
  layer: Layer,
  params: Params,
  holding: Holding = {},
): Promise<Params> {
  const folder = await adapterFolder(from);
  const { base = {} } = await readAdapterHeader(folder, model.modules, { open: openCheckpoint });
  const read: Params = await readAdapterParams(folder, layer, model.modules, { open: openCheckpoint, base: params });
  try {
    await checkBase(folder, base, params, await quantisedPaths(model, holding));
  } catch (error) {
    Object.values<Tensor>(read).forEach((tensor) => tensor.dispose());
    throw error;
  }
  for (const path of Object.keys(read)) params[path]?.dispose();
  return { ...params, ...read };
}

/**
 * SHA-256 of an adapter's files, so that a run that goes on finds the adapter that it began with.
 *
 * @param from The adapter's folder
 */
export async function adapterDigest(from: string): Promise<string> {
  const folder = await adapterFolder(from);
  const sum = builtin("node:crypto").createHash("sha256");
  const names = ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"];
  let count = 0;
  for (const name of names) {
    const path = `${folder}/${name}`;
    if (!await isFileAt(path)) continue;
    sum.update(await guarded(`reading ${path}`, "an adapter's file", () => Deno.readFile(path)));
    count++;
  }
  if (count < 2) throw refuse(from, "no adapter there", "an adapter's or a run's folder");
  return sum.digest("hex");
}

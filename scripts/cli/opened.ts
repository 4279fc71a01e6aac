/**
 * Opening a model for a command that only runs it.
 *
 * @module
 */
import { key } from "../../dsl/mod.ts";
import type { Holding } from "../../models/checkpoint/forms.ts";
import { type OpenedModel, openTrained } from "../../tasks/mod.ts";
import { baseOfAdapter } from "../../tasks/place.ts";
import type { Use } from "../../tasks/trainer/room.ts";
import { fetched } from "./fetched.ts";
import { usage } from "./options.ts";
import { placesIn } from "./places.ts";

/**
 * The model that a command line means: the one it names, else the one that its first adapter was trained on.
 *
 * @param model What `--model` says
 * @param adapter What `--adapter` says
 * @throws OneloraError (exit code 2) where neither names one
 */
export async function modelMeant(model: string | undefined, adapter: string | undefined): Promise<string> {
  if (model !== undefined) return model;
  const allowed = "--model NAME|DIR, or --adapter DIR whose files name its model";
  const [folder] = adapter === undefined ? [] : await placesIn(adapter);
  if (folder === undefined) throw usage("reading the command line", "neither --model nor --adapter", allowed);
  const base = await baseOfAdapter(folder);
  if (base !== undefined) return base;
  throw usage(`opening the adapter ${folder}`, "no base_model_name_or_path in its files", allowed);
}

/**
 * Opens a model, with an adapter if one is named, and says on stderr what of it is in no file and what was chosen of one.
 *
 * @param name What `--model` takes
 * @param adapter What `--adapter` takes
 * @param options Seed of what is in no file (default 0), what weights are kept as in the engine, and what it is opened for
 */
export async function openNoting(
  name: string,
  adapter?: string,
  { seed = 0, holding, use }: { readonly seed?: number; readonly holding?: Holding; readonly use?: Use } = {},
): Promise<OpenedModel> {
  const folders = adapter === undefined ? undefined : await placesIn(adapter);
  const opened = await openTrained(await fetched(name), { adapter: folders, key: key(seed), holding, use });
  const { initialised, params, part, unused } = opened;
  for (const note of opened.model.notes) console.error(`note: ${note}`);
  if (part !== undefined) console.error(`note: "${part}" is what was taken of ${name}`);
  if (unused !== undefined) console.error(`note: of ${name} ${unused}`);
  if (initialised.length > 0) {
    const [count, all] = [initialised.length, Object.keys(params).length];
    console.error(
      `note: ${count} of ${name}'s ${all} tensors are missing from its files and start at random values: ${
        initialised[0]
      }, ...`,
    );
  }
  return opened;
}

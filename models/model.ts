/**
 * A model as the others refer to it: what it is and where its weights are.
 *
 * @module
 */
import type { DiffusionProcess } from "./diffusion_process.ts";
import type { Companions } from "./companions/open.ts";
import type { Description, DescriptionOptions } from "./family.ts";
import type { HubOptions } from "./hub/settings.ts";

/** A model by name: description and where its weights are, no weights. */
export interface Model extends Description {
  /** Preset name, folder, repository with its commit, or preset name = weights. */
  readonly name: string;
  /** The noise that it was trained under, if its files say so. */
  readonly process?: DiffusionProcess;
  /** Folder with its weights, or the file that they are, if it has any. */
  readonly folder?: string;
  /** File of its weights, if they are not in the folder. */
  readonly weights?: string;
  /** The repository that its weights come from when they are first needed, if it is one of the hub's. */
  readonly repository?: ModelRepository;
  /** The same model described with other options. */
  readonly with: (options: DescriptionOptions) => Model;
}

/**
 * A model of a description: its name, and where its weights are.
 *
 * @param description What it is
 * @param place Its name, and its weights, if it has any
 * @param beside What the files beside the weights say
 */
export function modelOf(
  description: Description,
  place: Pick<Model, "name" | "folder" | "weights" | "repository">,
  beside: Companions = {},
): Model {
  const notes = [...description.notes, ...beside.notes ?? []];
  return {
    ...description,
    ...place,
    ...beside,
    notes,
    with: (options) => modelOf(description.with(options), place, beside),
  };
}

/** A model of Hugging Face's hub. */
export interface ModelRepository {
  /** Its name, the revision pinned. */
  readonly name: string;
  /** Where it comes from and goes. */
  readonly options: HubOptions;
}

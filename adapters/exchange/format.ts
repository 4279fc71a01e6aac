/**
 * How an adapter's tensors are laid out in a file: which there are, and what each is called.
 *
 * @module
 */
import { type AnyLayer, type ParamSpec, walk } from "../../dsl/layer.ts";
import { unwrapped } from "../../dsl/safetensors/mod.ts";
import { join, type ModuleNames, type Path } from "../../dsl/tree.ts";
import type { Method, PeftTensor } from "../method.ts";
import { methods } from "../spec.ts";

/** A layout by its `peft_type`: one of Hugging Face PEFT's, or this package's own for everything they cannot say. */
export type AdapterLayout = string;

/** This package's own layout. */
export const OWN_LAYOUT = "ONELORA";

/** Every layout. */
export const layouts: readonly AdapterLayout[] = [
  ...new Set(methods.flatMap(({ peft }) => peft === undefined ? [] : [peft.type])),
  OWN_LAYOUT,
];

/** A parameter that belongs to an adapter's file. */
export interface Slot {
  /** Its path. */
  readonly path: Path;
  /** Where its layer lives; of several that share it, the first. */
  readonly owner: Path;
  /** Where all layers live that have it. */
  readonly owners: readonly Path[];
  /** Its name in that layer. */
  readonly name: string;
  /** Its layer. */
  readonly layer: AnyLayer;
  /** Its declaration. */
  readonly spec: ParamSpec;
}

/**
 * The parameters that an adapter's file holds: all that training changes, and the adapter's own frozen ones unless they
 * can be computed from the base model.
 *
 * @param layer The adapted model
 */
export function slots(layer: AnyLayer): readonly Slot[] {
  const all = [...walk(layer)].flatMap(([owner, inner]) =>
    Object.entries(inner.params)
      .filter(([, { trainable, adapter, init }]) => trainable || (adapter !== undefined && init.kind !== "derived"))
      .map(([name, spec]) => ({ path: spec.shared ?? join(owner, name), owner, name, layer: inner, spec }))
  );
  return [...Map.groupBy(all, ({ path }) => path).values()]
    .map((some): Slot => ({ ...some[0], owners: some.map(({ owner }) => owner) }));
}

/** Layers that are trained whole, as PEFT's `modules_to_save` are: by the methods that mean them, and those that none means. */
export interface WholeLayers {
  /** Names of the methods. */
  readonly methods: readonly string[];
  /** Paths of the others. */
  readonly others: readonly Path[];
}

/**
 * The methods that mean layers which are trained whole.
 *
 * @param model The model
 * @param paths Where the layers live
 */
export function methodsOfWhole(model: AnyLayer, paths: ReadonlySet<Path>): WholeLayers {
  const layers = [...walk(model)].filter(([, { params }]) => Object.keys(params).length > 0);
  const meant = methods.flatMap(({ name, savedWhole }) => {
    const all = savedWhole === undefined ? [] : layers.filter(([, layer]) => savedWhole(layer)).map(([path]) => path);
    return all.length > 0 && all.every((path) => paths.has(path)) ? [{ name, all }] : [];
  });
  const covered = new Set(meant.flatMap(({ all }) => all));
  return { methods: meant.map(({ name }) => name), others: [...paths].filter((path) => !covered.has(path)) };
}

/** PEFT's name and dimensions of an adapter's parameter, if PEFT knows it. */
function peftTensor({ name, spec }: Slot): PeftTensor | undefined {
  const tensors = methods.find((method) => method.name === spec.adapter)?.peft?.tensors ?? {};
  const own = name.slice(`${spec.adapter}.`.length);
  return Object.hasOwn(tensors, own) ? tensors[own] : undefined;
}

/**
 * The method whose format in PEFT can say what a model's adapter is: one alone, or with layers trained whole.
 *
 * @param found The model's {@linkcode slots}
 */
export function peftMethodOf(found: readonly Slot[]): Method | undefined {
  const own = found.filter(({ spec }) => spec.adapter !== undefined);
  const whole = found.filter(({ spec }) => spec.adapter === undefined);
  // PEFT saves a module whole, with all that it has, or adapts it, not both.
  const onlyModules = whole.every(({ owners, layer }) =>
    Object.values(layer.params).every(({ trainable, adapter }) => trainable && adapter === undefined) &&
    own.every((each) => !owners.includes(each.owner))
  );
  const names = [...new Set(own.map(({ spec }) => spec.adapter))];
  const fits = onlyModules && names.length === 1 && own.every((slot) => peftTensor(slot) !== undefined);
  return fits ? methods.find(({ name }) => name === names[0]) : undefined;
}

/** A slot as a file holds it. */
export interface Stored {
  /** What {@linkcode identify} gives for its keys: one for each layer that has it. */
  readonly ids: readonly string[];
  /** Keys it is written under; in PEFT's layouts one for each name that each of its modules has had, the newest first. */
  readonly keys: readonly string[];
  /** Dimensions in the file. */
  readonly shape: readonly number[];
}

const SHARED = "base_model.";
const PREFIX = "base_model.model.";
/**
 * Where and how a file holds a slot.
 *
 * @param slot The parameter
 * @param layout The file's layout
 * @param names The model's names in Python
 */
export function stored(slot: Slot, layout: AdapterLayout, names: ModuleNames): Stored {
  const { key: name, shape: reshaped = (shape) => shape }: PeftTensor =
    (layout === OWN_LAYOUT ? undefined : peftTensor(slot)) ?? { key: slot.name };
  const shape = reshaped(slot.spec.shape);
  if (slot.spec.shared !== undefined && slot.spec.adapter !== undefined) {
    return { ids: [SHARED + name], keys: [SHARED + name], shape };
  }
  const ids = slot.owners.map((owner) => join(owner, name));
  const modules = ids.map(names.toModules);
  // Only this package reads its own layout, and it knows every name.
  const written = layout === OWN_LAYOUT ? modules[0].slice(0, 1) : modules.flat();
  return { ids, keys: written.map((module) => PREFIX + module), shape };
}

/**
 * What a key stands for, whichever name of its module it uses: comparable with {@linkcode Stored}'s `ids`.
 *
 * @param key A key of the file
 * @param names The model's names in Python
 */
export function identify(key: string, names: ModuleNames): string {
  let bare = unwrapped(key).replace(/\.lora_magnitude_vector\.weight$/, ".lora_magnitude_vector");
  if (bare.startsWith(SHARED) && !bare.startsWith(PREFIX)) return bare;
  while (bare.startsWith(PREFIX)) bare = bare.slice(PREFIX.length);
  return names.toPath(bare);
}

/** What PEFT puts between the names of an adapted layer and of its own weight. */
const BASE_LAYER = ".base_layer.";

/**
 * The parameter of the model itself that a key stands for, which PEFT writes beside adapters of embeddings and heads.
 *
 * @param id What {@linkcode identify} gives for the key
 * @param layer The adapted model
 * @returns The parameter's path, or undefined if the model has no such one
 */
export function baseParameter(id: string, layer: AnyLayer): Path | undefined {
  const plain = id.replace(BASE_LAYER, ".");
  for (const [owner, { params }] of walk(layer)) {
    for (const [name, { shared, adapter }] of Object.entries(params)) {
      if (adapter === undefined && join(owner, name) === plain) return shared ?? plain;
    }
  }
  return undefined;
}

/**
 * Groups of layers that share a weight of the model's own (a head that is the table): the names of their weights.
 *
 * @param layer The model
 */
export function tiedWeights(layer: AnyLayer): readonly (readonly Path[])[] {
  const all = [...walk(layer)].flatMap(([owner, { params }]) =>
    Object.entries(params).filter(([, { adapter }]) => adapter === undefined)
      .map(([name, { shared }]) => ({ path: shared ?? join(owner, name), own: join(owner, name) }))
  );
  return [...Map.groupBy(all, ({ path }) => path).values()].filter((some) => some.length > 1)
    .map((some) => some.map(({ own }) => own));
}

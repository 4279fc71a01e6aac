/**
 * How an adapter's tensors are laid out in a file: which there are, and what each is called.
 *
 * @module
 */
import { type AnyLayer, type ParamSpec, walk } from "../../dsl/layer.ts";
import { join, type Path } from "../../dsl/tree.ts";
import type { Method, PeftTensor } from "../method.ts";
import { methods } from "../spec.ts";

/** How our paths relate to the names of Python's modules, on which PEFT's keys and targets are built. */
export interface ModuleNames {
  /** Every name that a path (a layer's, or one further below) has had in Python, the newest first. */
  readonly toModules: (path: Path) => readonly string[];
  /** The path that a name stands for, whichever of those it is. */
  readonly toPath: (module: string) => Path;
}

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
  /** Where its layer lives. */
  readonly owner: Path;
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
      .map(([name, spec]): Slot => ({ path: spec.shared ?? join(owner, name), owner, name, layer: inner, spec }))
  );
  return [...new Map(all.map((slot) => [slot.path, slot])).values()];
}

/** Methods that train some layers whole, as PEFT's `modules_to_save` do. */
export const wholeMethods: readonly Method[] = methods.filter(({ savedWhole }) => savedWhole !== undefined);

/** PEFT's name and dimensions of an adapter's parameter, if PEFT knows it. */
function peftTensor({ name, spec }: Slot): PeftTensor | undefined {
  const tensors = methods.find((method) => method.name === spec.adapter)?.peft?.tensors ?? {};
  const own = name.slice(`${spec.adapter}.`.length);
  return Object.hasOwn(tensors, own) ? tensors[own] : undefined;
}

/**
 * The method whose format in PEFT can say what a model's adapter is: one alone, or with {@linkcode wholeMethods}.
 *
 * @param found The model's {@linkcode slots}
 */
export function peftMethodOf(found: readonly Slot[]): Method | undefined {
  const own = found.filter(({ spec }) => spec.adapter !== undefined);
  const whole = found.filter(({ spec }) => spec.adapter === undefined);
  // PEFT saves a module whole or adapts it, not both.
  const onlyModules = whole.every(({ owner, layer }) =>
    wholeMethods.some(({ savedWhole }) => savedWhole?.(layer)) && own.every((each) => each.owner !== owner)
  );
  const names = [...new Set(own.map(({ spec }) => spec.adapter))];
  const fits = onlyModules && names.length === 1 && own.every((slot) => peftTensor(slot) !== undefined);
  return fits ? methods.find(({ name }) => name === names[0]) : undefined;
}

/** A slot as a file holds it. */
export interface Stored {
  /** What {@linkcode identify} gives for its keys. */
  readonly id: string;
  /** Keys it is written under; in PEFT's layouts one for each name that its module has had, the newest first. */
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
  if (slot.spec.shared !== undefined) return { id: SHARED + name, keys: [SHARED + name], shape };
  const id = join(slot.owner, name);
  const modules = names.toModules(id);
  // Only this package reads its own layout, and it knows every name.
  const written = layout === OWN_LAYOUT ? modules.slice(0, 1) : modules;
  return { id, keys: written.map((module) => PREFIX + module), shape };
}

/**
 * What a key stands for, whichever name of its module it uses: comparable with {@linkcode Stored}'s `id`.
 *
 * @param key A key of the file
 * @param names The model's names in Python
 */
export function identify(key: string, names: ModuleNames): string {
  return key.startsWith(PREFIX) ? names.toPath(key.slice(PREFIX.length)) : key;
}

/**
 * Reads PyTorch's checkpoints as safetensors are read: one tensor at a time, nothing of them run.
 *
 * @module
 */
import { nearest, OneloraError } from "../../../dsl/error.ts";
import { hostArray } from "../../../dsl/safetensors/dtype.ts";
import { openRanged, type RangedFile } from "../../../dsl/files/file.ts";
import { show } from "../../../dsl/files/json.ts";
import { type Checkpoint, itemSize } from "../../../dsl/safetensors/mod.ts";
import { readArchive } from "./archive.ts";
import { gather, isContiguous, spanned } from "./gather.ts";
import { isLegacy, readLegacy } from "./legacy.ts";
import type { Saved, Span } from "./record.ts";
import { stateIn } from "./state.ts";
import type { StoredTensor } from "./value.ts";

/** An open checkpoint of PyTorch's. */
export interface PytorchCheckpoint extends Checkpoint {
  /** The entry of the file that was taken, where it has several, e.g. `ema`. */
  readonly part?: string;
}

/** Reads the file's pickle, whichever way the file is made. */
async function readSaved(file: RangedFile, attempted: string): Promise<Saved> {
  const beginning = await file.read(0, Math.min(file.bytes, 4));
  if (isLegacy(beginning)) return await readLegacy(file, attempted);
  if (new TextDecoder("latin1").decode(beginning.subarray(0, 2)) === "PK") return await readArchive(file, attempted);
  throw new OneloraError({ attempted, found: "neither a zip archive nor a pickle", allowed: "a file of torch.save" });
}

/** Where a tensor's storage lies, checked against its size and the file's. */
function placeOf({ storageAt }: Saved, file: RangedFile, { storage }: StoredTensor, attempted: string): Span {
  const span = storageAt(storage.key);
  const wanted = storage.count * itemSize(storage.dtype);
  if (span?.bytes === wanted && span.begin + span.bytes <= file.bytes) return span;
  const found = span === undefined
    ? `no storage ${show(storage.key)}`
    : `storage ${show(storage.key)} of ${span.bytes} bytes from byte ${span.begin} of ${file.bytes}`;
  throw new OneloraError({ attempted, found, allowed: `${wanted} bytes in the file` });
}

/**
 * Opens a `.pt`, `.pth` or `.bin` file of `torch.save`: a state dict, or a dict that holds one as `ema`, `model` or the like.
 * Only its pickle is read, by a machine that knows tensors, dicts and plain values and refuses all else; peak extra memory of
 * a later `read` is that tensor, or what it spans of a larger storage. Needs `--allow-read`.
 *
 * @param path The file
 * @throws OneloraError for what torch.save did not write, for anything but tensors in dicts, and for tensors that reach out of
 *   their storages
 */
export async function openPytorch(path: string): Promise<PytorchCheckpoint> {
  const attempted = `reading ${path}`;
  const file = await openRanged(path);
  try {
    const saved = await readSaved(file, attempted);
    const { tensors, part } = stateIn(saved.value, attempted);
    const places = new Map<string, readonly [StoredTensor, Span]>();
    for (const [name, tensor] of tensors) {
      places.set(name, [tensor, placeOf(saved, file, tensor, `${attempted}, tensor ${show(name)}`)]);
    }
    return opened(file, places, part);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The checkpoint of a file whose tensors are known. */
function opened(
  file: RangedFile,
  places: ReadonlyMap<string, readonly [StoredTensor, Span]>,
  part: string | undefined,
): PytorchCheckpoint {
  const names = [...places.keys()];
  const find = (name: string): readonly [StoredTensor, Span] => {
    const place = places.get(name);
    if (place !== undefined) return place;
    const near = nearest(name, names.filter(({ length }) => Math.abs(length - name.length) <= name.length));
    const allowed = near === undefined
      ? `one of its ${names.length} tensors`
      : `one of its tensors, e.g. ${show(near)}`;
    throw new OneloraError({ attempted: `reading ${file.path}`, found: `no tensor ${show(name)}`, allowed });
  };
  return {
    names,
    metadata: {},
    part,
    info: (name) => {
      const [{ storage: { dtype }, shape }] = find(name);
      return { dtype, shape, bytes: shape.reduce((product, n) => product * n, itemSize(dtype)), file: file.path };
    },
    read: async (name) => {
      const [tensor, { begin }] = find(name);
      const { storage: { dtype }, offset, shape } = tensor;
      const bytes = itemSize(dtype);
      const { buffer } = await file.read(begin + offset * bytes, spanned(tensor) * bytes);
      return { dtype, shape, data: hostArray(dtype, isContiguous(tensor) ? buffer : gather(tensor, buffer, bytes)) };
    },
    close: file.close,
    [Symbol.asyncDispose]: file.close,
  };
}

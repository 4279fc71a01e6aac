/**
 * What a GGUF file says of itself before its tensors: metadata, and where each tensor is.
 *
 * @module
 */
import { type BlockForm, blockKind, BLOCKS } from "../../dsl/blocks.ts";
import { firstLine, OneloraError } from "../../dsl/error.ts";
import type { RangedFile } from "../../dsl/files/file.ts";
import { show } from "../../dsl/files/json.ts";
import { onDemand } from "../../dsl/on_demand.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { type Packing, packings, repackedBytes } from "./repack.ts";

/** Hugging Face's own reader of the format's header, by ranges and with bounds against hostile files. */
const LIBRARY = "npm:@huggingface/gguf@0.4.6";

/** What is used of it. */
interface Library {
  gguf(uri: string, options: { readonly fetch: typeof fetch }): Promise<{
    readonly metadata: Readonly<Record<string, unknown>>;
    readonly tensorInfos: readonly {
      readonly name: string;
      readonly shape: readonly bigint[];
      readonly dtype: number;
      readonly offset: bigint;
    }[];
    readonly tensorDataOffset: bigint;
    readonly littleEndian: boolean;
  }>;
  readonly GGMLQuantizationType: Readonly<Record<number, string>>;
}

/** How a tensor's numbers are kept. */
export type GgufForm = "F32" | "F16" | "BF16" | BlockForm;

/** A tensor of the file. */
export interface GgufEntry {
  /** Its shape, the outermost first. */
  readonly shape: readonly number[];
  /** How its numbers are kept here. */
  readonly form: GgufForm;
  /** What they are in the file, if that is another form. */
  readonly packing?: Packing;
  /** The file. */
  readonly file: RangedFile;
  /** First byte in it. */
  readonly at: number;
  /** Its bytes there. */
  readonly bytes: number;
  /** Its bytes here. */
  readonly kept: number;
}

/** What a file says of itself. */
export interface GgufHeader {
  /** Values by key. */
  readonly metadata: ReadonlyMap<string, unknown>;
  /** Tensors by llama.cpp's names. */
  readonly tensors: ReadonlyMap<string, GgufEntry>;
}

const FORMS: ReadonlyMap<number, GgufForm> = new Map<number, GgufForm>([
  [0, "F32"],
  [1, "F16"],
  [30, "BF16"],
  ...Object.entries(BLOCKS).map(([form, { code }]) => [code, form as BlockForm] as const),
]);

const FLOAT_BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

/** The file's ranges as the library asks for them; nothing of it goes over a network. */
function rangesOf(file: RangedFile): typeof fetch {
  return async (_, options) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(options?.headers).get("range") ?? "")!.map(Number);
    const begin = Math.min(from, file.bytes);
    const bytes = await file.read(begin, Math.min(to + 1, file.bytes) - begin);
    if (bytes.length === 0) throw new TypeError("the file ends before its header does");
    return new Response(bytes, { status: 206, headers: { "content-range": `bytes ${begin}-${to}/${file.bytes}` } });
  };
}

/**
 * Reads the header of a GGUF file.
 *
 * @param file The file
 * @throws OneloraError for a file that is malformed, and for numbers in a form that is not known here
 */
export async function readGgufHeader(file: RangedFile): Promise<GgufHeader> {
  const attempted = `reading ${file.path}`;
  const wrong = (found: string, cause?: unknown) =>
    new OneloraError({ attempted, found, allowed: "a GGUF file of versions 1 to 3, little-endian" }, { cause });
  const { gguf, GGMLQuantizationType: names } = await onDemand<Library>(LIBRARY);
  // The address is that of nothing: what is fetched is the file.
  const header = await gguf("https://localhost/file.gguf", { fetch: rangesOf(file) }).catch((cause) => {
    throw wrong(firstLine(cause), cause);
  });
  if (!header.littleEndian) throw wrong("big-endian numbers");
  const begin = Number(header.tensorDataOffset);
  const tensors = new Map<string, GgufEntry>();
  for (const { name, shape: reversed, dtype, offset } of header.tensorInfos) {
    const packing = packings.find(({ code }) => code === dtype);
    const form = packing?.into ?? FORMS.get(dtype);
    if (form === undefined) {
      const found = `tensor ${show(name)} in ${names[dtype] ?? `form ${dtype}`}`;
      const allowed = [...FORMS.values(), ...packings.map((each) => each.name)].join(", ").toUpperCase();
      throw new OneloraError({ attempted, found, allowed });
    }
    const shape = reversed.map(Number).reverse();
    const size = sizeOf(shape);
    const kind = packing ?? (form in FLOAT_BYTES ? undefined : blockKind(form as BlockForm));
    if (kind !== undefined && shape.at(-1)! % kind.size !== 0) {
      throw wrong(`tensor ${show(name)} of shape [${shape}] in blocks of ${kind.size}`);
    }
    const bytes = kind === undefined ? size * FLOAT_BYTES[form] : size / kind.size * kind.bytes;
    const kept = packing === undefined ? bytes : size / packing.size * repackedBytes(packing);
    const at = begin + Number(offset);
    if (!Number.isSafeInteger(bytes) || !Number.isSafeInteger(at) || at + bytes > file.bytes) {
      throw wrong(`tensor ${show(name)} of shape [${shape}] past the file's end`);
    }
    if (tensors.has(name)) throw wrong(`two tensors ${show(name)}`);
    tensors.set(name, { shape, form, packing, file, at, bytes, kept });
  }
  return { metadata: new Map(Object.entries(header.metadata)), tensors };
}

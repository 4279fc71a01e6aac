/**
 * An MPI library: where it is, which one it is, and what differs between them.
 *
 * @module
 */
import { firstLine } from "../../error.ts";

/** Open MPI, MPICH and those of its ABI (Intel MPI, MVAPICH, Cray MPICH), or any library of MPI 5's standard ABI. */
export type MpiKind = "openmpi" | "mpich" | "abi";

/** A handle of MPI: an address, or a number. */
export type MpiHandle = Deno.PointerValue | bigint;

/** A library that was found. */
export interface MpiLibrary {
  /** Which it is. */
  readonly kind: MpiKind;
  /** Its file. */
  readonly path: string;
  /** What it says of itself, a line. */
  readonly version: string;
}

/** What differs between libraries. */
export interface Abi {
  /** What a handle is to a function. */
  readonly handle: "pointer" | "u64";
  /** Whether a library that says this of itself has it. */
  readonly says: RegExp;
  /** Names of predefined handles where they are addresses of variables, else their values. */
  readonly predefined: Readonly<Record<"world" | "float" | "sum", string | bigint>>;
  /** Stands for the buffer that receives, where one is to be sent. */
  readonly inPlace: bigint;
  /** Says that no status is wanted. */
  readonly noStatus: bigint;
  /** Asks for calls from several threads. */
  readonly threads: number;
}

/** Open MPI's mpi.h, MPICH's mpi.h, and the header of the standard ABI (MPI 5.0, chapter 20). */
export const abis: Readonly<Record<MpiKind, Abi>> = {
  openmpi: {
    handle: "pointer",
    says: /^Open MPI/,
    predefined: { world: "ompi_mpi_comm_world", float: "ompi_mpi_float", sum: "ompi_mpi_op_sum" },
    inPlace: 1n,
    noStatus: 0n,
    threads: 3,
  },
  mpich: {
    handle: "u64",
    says: /MPICH|Intel\(R\) MPI|MVAPICH/i,
    predefined: { world: 0x44000000n, float: 0x4c00040an, sum: 0x58000003n },
    inPlace: 0xffff_ffff_ffff_ffffn,
    noStatus: 1n,
    threads: 3,
  },
  abi: {
    handle: "u64",
    says: /./,
    predefined: { world: 0x101n, float: 0x210n, sum: 0x21n },
    inPlace: 1n,
    noStatus: 0n,
    threads: 4096,
  },
};

/** A folder of the user's choice, where the library is nowhere else: `--allow-ffi` of deno.json names its files, too. */
export const MPI_FOLDER = "ONELORA_MPI";

/** Names of the libraries, those of the standard ABI last: most launchers come with one of the others. */
const NAMES: readonly (readonly [name: string, kind?: MpiKind])[] = [
  ["libmpi.so.40"],
  ["libmpich.so.12"],
  ["libmpi.so.12"],
  ["libmpi.dylib"],
  ["libmpi_abi.so.1", "abi"],
  ["libmpi_abi.so.0", "abi"],
];

/** Where systems keep them: Debian, Fedora, Homebrew. */
const FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64/openmpi/lib",
  "/usr/lib64/mpich/lib",
  "/opt/homebrew/lib",
];

/**
 * An environment variable; none where it may not be read.
 *
 * @param name Its name
 */
export function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch {
    return undefined;
  }
}

/** What an open library says of itself. */
function versionOf(path: string): string {
  const library = Deno.dlopen(
    path,
    { MPI_Get_library_version: { parameters: ["buffer", "buffer"], result: "i32" } } as const,
  );
  const [text, length] = [new Uint8Array(8192), new Int32Array(1)];
  library.symbols.MPI_Get_library_version(text, length);
  return new TextDecoder().decode(text.subarray(0, length[0])).replace(/\0.*$/s, "");
}

/** A version as a line: Open MPI's up to its packager, MPICH's with its number. */
function inLine(version: string): string {
  return firstLine(new Error(version)).split(",")[0].replace(/\s+/g, " ").replace(" Version:", "").trim();
}

/** Why a library that is there cannot be opened; undefined where there is none, or none that may be opened. */
function reason(path: string, error: unknown): string | undefined {
  if (error instanceof Deno.errors.NotCapable) return undefined;
  const line = firstLine(error).replace(/^(Could not open library: )+/, "");
  const isMissing = line.startsWith(`${path}: cannot open shared object file`) || /\(no such file\)/.test(line);
  return isMissing ? undefined : line;
}

/**
 * The MPI libraries of this machine, as far as they may be opened. Nothing is started.
 *
 * @param unusable Told of each that is there and cannot be opened: its path and why
 */
export function findMpi(unusable: (why: string) => void = () => {}): readonly MpiLibrary[] {
  // None of these is one of Windows'.
  if (Deno.build.os === "windows") return [];
  const chosen = variable(MPI_FOLDER);
  const folders = chosen === undefined ? FOLDERS : [chosen];
  const found: MpiLibrary[] = [];
  for (const folder of folders) {
    for (const [name, kind] of NAMES) {
      const path = `${folder}/${name}`;
      try {
        const version = versionOf(path);
        const told = kind ??
          (Object.keys(abis) as MpiKind[]).find((each) => each !== "abi" && abis[each].says.test(version));
        if (told !== undefined) found.push({ kind: told, path, version: inLine(version) });
      } catch (error) {
        const why = reason(path, error);
        if (why !== undefined) unusable(`${path} cannot be opened: ${why}`);
      }
    }
  }
  return found;
}

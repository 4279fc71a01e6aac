/**
 * What the operating systems have of TensorFlow's C library, and how an addon is built against it there. Linux is run; for
 * macOS the wheels' files and headers were read and the addon's sources compiled with them, but no Mac was there to run it.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";

/** A system that the library can be had for. */
export interface System {
  /** Its name in messages. */
  readonly words: string;
  /** Which wheels are for it. */
  readonly tag: RegExp;
  /** Which project of the package index has them. */
  readonly project: "tensorflow" | "tensorflow-cpu";
  /** The version that is taken unless another is named. */
  readonly version: string;
  /** The library's files, below the wheel's `tensorflow` folder: what the addon links. */
  readonly libraries: readonly string[];
  /** The compiler, and where it comes from. */
  readonly compiler: { readonly command: string; readonly allowed: string };
  /** Its options for a module that finds the library relative to itself, so that the folder can be moved. */
  readonly shared: readonly string[];
  /** Whether the loader that keeps the library quiet, and finds CUDA, is built too. */
  readonly loader: boolean;
  /** What a user should know before. */
  readonly note?: string;
}

/** Where Windows and others find something faster than one thread. */
const ELSEWHERE = "linux and darwin; without it, `--backend wasm` takes all cores and `--backend webgpu` the GPU";

/**
 * The system that the library is to be had for.
 *
 * @param build Operating system and processor, as Deno names them
 * @param cuda Whether the library is the one for NVIDIA's cards
 * @throws {OneloraError} (exit code 2) where there is none
 */
export function systemOf({ os, arch }: { readonly os: string; readonly arch: string }, cuda: boolean): System {
  const attempted = "providing the tensorflow backend";
  if (os === "linux") {
    return {
      words: `Linux on ${arch}`,
      tag: new RegExp(`-manylinux.*_${arch}\\.whl$`),
      project: cuda || arch !== "x86_64" ? "tensorflow" : "tensorflow-cpu",
      version: "2.21.0",
      libraries: ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"],
      compiler: { command: "g++", allowed: "g++ 8 or newer (Debian, Ubuntu: apt-get install g++)" },
      shared: ["-shared", "-Wl,-rpath,$ORIGIN/../../deps/lib"],
      loader: true,
    };
  }
  if (os === "darwin") {
    if (cuda) {
      const allowed = "linux; on a Mac, `--backend webgpu` takes the GPU";
      throw new OneloraError({ attempted: "taking the library for NVIDIA GPUs", found: os, allowed }, { exitCode: 2 });
    }
    const machine = arch === "aarch64" ? "arm64" : arch;
    return {
      words: `macOS on ${machine}`,
      tag: new RegExp(`-macosx_\\d+_\\d+_${machine}\\.whl$`),
      project: "tensorflow",
      // The last one with a wheel for Intel's.
      version: machine === "arm64" ? "2.21.0" : "2.16.2",
      libraries: ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"],
      compiler: { command: "clang++", allowed: "clang++ of Xcode's command line tools (xcode-select --install)" },
      // Functions of Node-API are those of the process that loads the module.
      shared: ["-bundle", "-undefined", "dynamic_lookup", "-Wl,-rpath,@loader_path/../../deps/lib"],
      loader: false,
      note: "note: built for macOS by what its wheels hold; no Mac was there to run it on, so tell us what happens",
    };
  }
  const found = os === "windows"
    ? "windows, whose wheels have no C library: its functions are in a DLL of Python's"
    : os;
  throw new OneloraError({ attempted, found, allowed: ELSEWHERE }, { exitCode: 2 });
}

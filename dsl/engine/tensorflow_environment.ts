/**
 * What TensorFlow's C library reads once, when it loads: environment variables, and on a machine with an NVIDIA card the
 * libraries of CUDA. The user's own settings stay; what they leave open is set here.
 *
 * @module
 */
import { join } from "../files/path.ts";
import { builtin } from "../host.ts";

/** What the loader beside the addon does before the library is there (scripts/commands/native/load_quietly.c). */
export interface Loader {
  /** Sets a variable unless it is set. */
  readonly setDefault: (name: string, value: string) => void;
  /** Appends a flag to a variable of flags, unless it is among them. */
  readonly addFlag: (name: string, flag: string) => void;
  /** Loads a library by its path for those that ask for it by its name; whether it could be. */
  readonly preload: (path: string) => boolean;
  /** Loads TensorFlow's library without its log. */
  readonly load: () => void;
}

/** Folder, below that of TensorFlow, of the CUDA libraries that `deno task native --cuda` provides. */
export const cudaFolder = "cuda";

/**
 * Whether the machine has NVIDIA's driver. The system's loader is asked for its library: a program that may not read all files
 * may not look into /proc and /dev either, and finds nothing there.
 *
 * @param loader The loader
 */
export function hasNvidiaDriver(loader: Pick<Loader, "preload">): boolean {
  return loader.preload("libcuda.so.1");
}

/** A value that may need a permission which is not there. */
function ifAllowed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The user's cache folder, made if it is not there; none where it may not be made. */
function cacheFolder(name: string): string | undefined {
  return ifAllowed(() => {
    const { XDG_CACHE_HOME, HOME } = builtin("node:process").env;
    const base = XDG_CACHE_HOME ?? (HOME === undefined ? undefined : join(HOME, ".cache"));
    if (base === undefined) return undefined;
    const folder = join(base, "onelora", name);
    Deno.mkdirSync(folder, { recursive: true });
    return folder;
  });
}

/**
 * Gives each process of a machine a card of its own: of those that it may see the one at its number. Called before the library
 * is loaded; where there is no card it means nothing. With more processes than cards, cards are shared.
 *
 * @param local Number of the process among those of this machine
 * @param cards Cards of the machine, as far as that is known
 */
export function takeCard(local: number, cards?: number): void {
  ifAllowed(() => {
    const { env } = builtin("node:process");
    const seen = env.CUDA_VISIBLE_DEVICES?.split(",");
    if (seen === undefined) env.CUDA_VISIBLE_DEVICES = `${cards ? local % cards : local}`;
    else if (seen.length > 1) env.CUDA_VISIBLE_DEVICES = seen[local % seen.length];
  });
}

/** The libraries of CUDA 12 and cuDNN 9 that TensorFlow asks for. */
export const cudaNames: readonly string[] = [
  "libcublas.so.12",
  "libcublasLt.so.12",
  "libcudart.so.12",
  "libcudnn.so.9",
  "libcufft.so.11",
  "libcupti.so.12",
  "libcusolver.so.11",
  "libcusparse.so.12",
  "libnccl.so.2",
];

/** Where systems keep them. */
const SYSTEM = ["/usr/local/cuda/lib64", "/usr/local/cuda-12/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"];

/**
 * The libraries of CUDA that are neither beside TensorFlow nor where systems keep them.
 *
 * @param folder Where TensorFlow is installed
 */
export function missingCuda(folder: string, systems: readonly string[] = SYSTEM): readonly string[] {
  const { existsSync } = builtin("node:fs");
  const folders = [join(folder, cudaFolder, "lib"), ...systems];
  return cudaNames.filter((name) => !folders.some((each) => existsSync(join(each, name))));
}

/** Loads the libraries of a folder; those that need others of it come after them, whatever the order. */
function preloadAll(loader: Loader, folder: string): void {
  if (!builtin("node:fs").existsSync(folder)) return;
  let waiting = Array.from(Deno.readDirSync(folder), ({ name }) => join(folder, name)).sort();
  for (let before = Infinity; waiting.length > 0 && waiting.length < before;) {
    before = waiting.length;
    waiting = waiting.filter((path) => !loader.preload(path));
  }
}

/** What of an installation decides how it is prepared. */
export interface Installation {
  /** Version of the library. */
  readonly version: string;
  /** Whether it is the one for NVIDIA's cards. */
  readonly cuda: boolean;
}

/**
 * Makes a machine with a card ready: memory taken as it is needed, compiled programs and what XLA has measured of the card
 * kept between runs, CUDA's libraries found.
 *
 * @param loader The loader
 * @param folder Where TensorFlow is installed
 * @param installation See {@linkcode Installation}
 */
export function prepareCard(loader: Loader, folder: string, { version, cuda: forCards }: Installation): void {
  loader.setDefault("TF_FORCE_GPU_ALLOW_GROWTH", "true");
  // Graphs are rewritten to oneDNN's kernels, wherever they run; those are there for CPUs alone.
  if (forCards) loader.setDefault("TF_ENABLE_ONEDNN_OPTS", "0");
  const cuda = join(folder, cudaFolder);
  preloadAll(loader, join(cuda, "lib"));
  // A flag that a version does not know ends the process.
  const [major, minor] = version.split(".").map(Number);
  if (!(major > 2 || (major === 2 && minor >= 20))) return;
  if (builtin("node:fs").existsSync(join(cuda, "nvvm"))) loader.addFlag("XLA_FLAGS", `--xla_gpu_cuda_data_dir=${cuda}`);
  const [programs, measured] = ["xla", "autotune"].map((name) => cacheFolder(`${name}-${version}`));
  if (programs !== undefined) {
    loader.addFlag("TF_XLA_FLAGS", `--tf_xla_persistent_cache_directory=${programs}`);
    loader.addFlag("TF_XLA_FLAGS", "--tf_xla_persistent_cache_device_types=GPU");
  }
  // Kernels are compiled one after the other by default, which takes most of a first start's time.
  loader.addFlag("XLA_FLAGS", "--xla_gpu_enable_llvm_module_compilation_parallelism=true");
  loader.addFlag("XLA_FLAGS", `--xla_gpu_force_compilation_parallelism=${navigator.hardwareConcurrency}`);
  if (measured !== undefined) loader.addFlag("XLA_FLAGS", `--xla_gpu_per_fusion_autotune_cache_dir=${measured}`);
}

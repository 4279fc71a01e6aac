/**
 * What TensorFlow's C library reads once, when it loads: environment variables, and on a machine with an NVIDIA card the
 * libraries of CUDA. The user's own settings stay; what they leave open is set here.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** What the loader beside the addon does before the library is there (scripts/tools/native/load_quietly.c). */
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

/** Whether the machine has NVIDIA's driver. */
export function hasNvidiaDriver(): boolean {
  return ifAllowed(() => existsSync("/proc/driver/nvidia/version") || existsSync("/dev/nvidiactl")) ?? false;
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
    const { XDG_CACHE_HOME, HOME } = process.env;
    const base = XDG_CACHE_HOME ?? (HOME === undefined ? undefined : join(HOME, ".cache"));
    if (base === undefined) return undefined;
    const folder = join(base, "onelora", name);
    Deno.mkdirSync(folder, { recursive: true });
    return folder;
  });
}

/** CUDA's libraries in the order in which they need each other. */
const LIBRARIES = [
  "libcudart.so.12",
  "libnvJitLink.so.12",
  "libnvrtc.so.12",
  "libcublasLt.so.12",
  "libcublas.so.12",
  "libcufft.so.11",
  "libcusparse.so.12",
  "libcusolver.so.11",
  "libcupti.so.12",
  "libcudnn.so.9",
  "libnccl.so.2",
] as const;

/**
 * The CUDA libraries among those that TensorFlow asks for that lie in a folder, in the order in which they load.
 *
 * @param folder Where each is, or in a folder below `lib`
 */
export function cudaLibraries(folder: string): readonly string[] {
  return LIBRARIES.map((name) => join(folder, "lib", name)).filter((path) => existsSync(path));
}

/**
 * Makes a machine with a card ready: memory taken as it is needed, compiled programs and what XLA has measured of the card
 * kept between runs, CUDA's libraries found.
 *
 * @param loader The loader
 * @param folder Where TensorFlow is installed
 * @param version Its version
 */
export function prepareCard(loader: Loader, folder: string, version: string): void {
  loader.setDefault("TF_FORCE_GPU_ALLOW_GROWTH", "true");
  const cuda = join(folder, cudaFolder);
  for (const path of cudaLibraries(cuda)) loader.preload(path);
  // A flag that a version does not know ends the process.
  const [major, minor] = version.split(".").map(Number);
  if (!(major > 2 || (major === 2 && minor >= 20))) return;
  if (existsSync(join(cuda, "nvvm"))) loader.addFlag("XLA_FLAGS", `--xla_gpu_cuda_data_dir=${cuda}`);
  const [programs, measured] = ["xla", "autotune"].map((name) => cacheFolder(`${name}-${version}`));
  if (programs !== undefined) {
    loader.addFlag("TF_XLA_FLAGS", `--tf_xla_persistent_cache_directory=${programs}`);
    loader.addFlag("TF_XLA_FLAGS", "--tf_xla_persistent_cache_device_types=GPU");
  }
  if (measured !== undefined) loader.addFlag("XLA_FLAGS", `--xla_gpu_per_fusion_autotune_cache_dir=${measured}`);
}

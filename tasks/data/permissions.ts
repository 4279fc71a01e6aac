/**
 * What threads that work on files from elsewhere may do: read what they were started for, load the picture decoder, and
 * nothing else.
 *
 * @module
 */
import { fileOf, join } from "../../dsl/files/path.ts";
import { grantedVariable, isGranted } from "../../dsl/permission.ts";

/** Root of the package. */
const root = new URL("../../", import.meta.url).href;

/** Rooms that threads import from when they are asked to. */
const ROOMS = ["dsl", "adapters", "models", "tasks"];

/** What the picture decoder's package looks at to tell which of its builds fits. */
const LDD = "/usr/bin/ldd";

/**
 * Whether Deno takes permissions of threads: where it does not it ends the process, and no program can ask before. It does
 * where this package's deno.json, which says so, is that of the program.
 */
function canRestrict(): boolean {
  try {
    return root.startsWith("file:") && Deno.mainModule.startsWith(root);
  } catch {
    return false;
  }
}

/** Where Deno's cache may have native code of packages, as the commands' permissions name it. */
function caches(): readonly string[] {
  const within = (variable: string, ...parts: readonly string[]) => {
    const value = grantedVariable(variable);
    return value === undefined || value === "" ? [] : [join(value, ...parts, "npm")];
  };
  return [
    ...within("DENO_DIR"),
    ...within("XDG_CACHE_HOME", "deno"),
    ...within("HOME", ".cache", "deno"),
    ...within("HOME", "Library", "Caches", "deno"),
    ...within("LOCALAPPDATA", "deno"),
  ];
}

/**
 * Native code that a thread may load: that of packages; everything that its process may, where that is not told apart. The
 * process has shut itself off from TensorFlow's library for its threads where both are named.
 */
function nativeCode(): boolean | "inherit" | string[] {
  if (isGranted({ name: "ffi" })) return "inherit";
  const granted = caches().filter((path) => isGranted({ name: "ffi", path }));
  return granted.length === 0 ? "inherit" : granted;
}

/**
 * Options of a thread that may read some files and nothing else: it writes nothing, starts nothing and has no network.
 *
 * @param reads Files and folders; undefined where nobody knows them, which leaves a thread what its process may
 */
export function restricted(reads: readonly string[] | undefined): WorkerOptions {
  const module: WorkerOptions = { type: "module" };
  if (reads === undefined || !canRestrict()) return module;
  const code = ROOMS.map((room) => fileOf(new URL(room, root)));
  const read = [...reads, ...code, LDD].filter((path) => isGranted({ name: "read", path }));
  const permissions = {
    read: read.length === 0 ? false : read,
    ffi: nativeCode(),
    // Packages look at it; what a command hides from itself is hidden here.
    env: "inherit",
    import: "inherit",
    write: false,
    net: false,
    run: false,
    sys: false,
  };
  return { ...module, deno: { permissions } } as WorkerOptions;
}

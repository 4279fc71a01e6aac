/**
 * Joining the other processes of a job that mpirun or srun has started.
 *
 * @module
 */
import { OneloraError } from "../../error.ts";
import { nvidia } from "../nvidia.ts";
import { takeCard } from "../tensorflow_environment.ts";
import { addPairs, alone, gatherValues, type Ranks, shareWith, together } from "../../ranks.ts";
import { immediate } from "../../turn.ts";
import { type Mpi, openMpi, type Request } from "./library.ts";
import { findMpi, MPI_FOLDER, type MpiKind, type MpiLibrary, variable } from "./find.ts";
import type { Watch, Word } from "./watch.ts";

/** How this process was started, as the launcher's variables say. */
export interface Launch {
  /** Who started it, in words. */
  readonly launcher: string;
  /** Processes of the job. */
  readonly size: number;
  /** Number of this one. */
  readonly rank: number;
  /** Its number among those of this machine, if the launcher says. */
  readonly local?: number;
  /** Libraries that the launcher's processes can talk by, the likeliest first. */
  readonly kinds: readonly MpiKind[];
}

/** A whole number of a variable. */
function count(name: string): number | undefined {
  const text = variable(name);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** The first of some numbers that is there. */
function first(...names: readonly string[]): number | undefined {
  return names.map(count).find((each) => each !== undefined);
}

/**
 * How this process was started; undefined where no launcher of several processes did.
 *
 * @throws OneloraError (exit code 2) for several tasks of Slurm that were started without MPI
 */
export function launchOf(): Launch | undefined {
  const ofOpenMpi = count("OMPI_COMM_WORLD_SIZE");
  if (ofOpenMpi !== undefined) {
    const [rank, local] = [count("OMPI_COMM_WORLD_RANK") ?? 0, count("OMPI_COMM_WORLD_LOCAL_RANK")];
    return { launcher: "Open MPI's mpirun", size: ofOpenMpi, rank, local, kinds: ["openmpi", "abi"] };
  }
  const local = first("MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID");
  const ofPmi = count("PMI_SIZE");
  if (ofPmi !== undefined) {
    return { launcher: "PMI", size: ofPmi, rank: count("PMI_RANK") ?? 0, local, kinds: ["mpich", "abi", "openmpi"] };
  }
  const tasks = first("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS");
  const ofPmix = count("PMIX_RANK");
  if (ofPmix !== undefined) {
    return { launcher: "PMIx", size: tasks ?? NaN, rank: ofPmix, local, kinds: ["openmpi", "mpich", "abi"] };
  }
  const own = count("SLURM_STEP_NUM_TASKS");
  if (own === undefined || own <= 1 || count("SLURM_PROCID") === undefined) return undefined;
  throw new OneloraError({
    attempted: "joining the other processes of the job",
    found: `${own} tasks that srun has started without MPI`,
    allowed: "`srun --mpi=pmix` or `srun --mpi=pmi2` (see `srun --mpi=list`), or one task",
  }, { exitCode: 2 });
}

/** Milliseconds of waiting in which every look follows the one before at once. */
const EAGER = 1;
/** Microseconds between looks afterwards. */
const PAUSE = 100;
/** Looks after which timers and signals have their turn. */
const LOOKS = 20;

/** Waits until something is done, lets other processes of the same processor run meanwhile, and signals in. */
async function finished(mpi: Mpi, { isDone }: Request): Promise<void> {
  const begun = performance.now();
  while (performance.now() - begun < EAGER) {
    if (isDone()) return;
    mpi.yieldNow();
  }
  for (;;) {
    for (let i = 0; i < LOOKS; i++) {
      if (isDone()) return;
      mpi.sleep(PAUSE);
    }
    await immediate();
  }
}

/** Bytes that are gathered at once, the length before them included. */
const AT_ONCE = 512;
/** Bytes of a broadcast at once. */
const PIECE = 2 ** 28;

/** The least multiple of 4. */
function whole(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/** Numbers that are added up at once. */
const SUMMED = 2 ** 24;

/**
 * Adds up the numbers of all in place, pair by pair in the order of the ranks: MPI's own sum may take another order for each
 * number. Each process adds up a piece for all.
 */
async function sumInOrder(mpi: Mpi, values: Float32Array, size: number): Promise<void> {
  // Of two there is one order only.
  if (size === 2) return await finished(mpi, mpi.allreduce(values));
  for (let at = 0; at < values.length; at += SUMMED) {
    const some = values.subarray(at, at + SUMMED);
    // Not less than 64 bytes, which V8 would keep where they may move.
    const pieceLength = Math.max(Math.ceil(some.length / size), 16);
    const own = new Float32Array(pieceLength * size);
    const all = new Float32Array(pieceLength * size);
    own.set(some);
    await finished(mpi, mpi.alltoall(own, all, pieceLength));
    const pieces = Array.from({ length: size }, (_, i) => all.subarray(i * pieceLength, (i + 1) * pieceLength));
    const sum = addPairs(pieces);
    await finished(mpi, mpi.allgather(bytesOf(sum), bytesOf(own)));
    some.set(own.subarray(0, some.length));
  }
}

/** Bytes of numbers, a view. */
function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Processes that talk by MPI. */
function ranksOf(mpi: Mpi): Ranks {
  const [rank, size] = [mpi.rank(), mpi.size()];
  const allgather = async (own: Uint8Array): Promise<readonly Uint8Array[]> => {
    const all = new Uint8Array(own.length * size);
    await finished(mpi, mpi.allgather(own, all));
    return Array.from({ length: size }, (_, i) => all.subarray(i * own.length, (i + 1) * own.length));
  };
  const lengthIn = (bytes: Uint8Array) => Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
  return {
    rank,
    size,
    sum: (values) => sumInOrder(mpi, values, size),
    gather: async (bytes) => {
      const small = new Uint8Array(AT_ONCE);
      new DataView(small.buffer).setBigUint64(0, BigInt(bytes.length));
      small.set(bytes.subarray(0, AT_ONCE - 8), 8);
      const heads = await allgather(small);
      const lengths = heads.map(lengthIn);
      const most = Math.max(...lengths);
      if (most <= AT_ONCE - 8) return heads.map((head, i) => head.subarray(8, 8 + lengths[i]));
      const large = new Uint8Array(whole(most));
      large.set(bytes);
      return (await allgather(large)).map((each, i) => each.subarray(0, lengths[i]));
    },
    broadcast: async (bytes) => {
      const head = new Uint8Array(64).subarray(0, 8);
      new DataView(head.buffer).setBigUint64(0, BigInt(bytes.length));
      await finished(mpi, mpi.broadcast(head));
      const length = lengthIn(head);
      const content = new Uint8Array(Math.max(64, whole(length)));
      if (rank === 0) content.set(bytes);
      for (let at = 0; at < length; at += PIECE) {
        await finished(mpi, mpi.broadcast(content.subarray(at, Math.min(content.length, at + PIECE))));
      }
      return content.subarray(0, length);
    },
  };
}

/** Starts the thread that notices when another process is gone. */
function watch(options: Watch): (word: Word) => Promise<void> {
  const worker = new Worker(new URL("./watch.ts", import.meta.url), { type: "module" });
  worker.postMessage(options);
  return (word) =>
    new Promise((resolve) => {
      worker.onmessage = () => resolve();
      worker.postMessage(word);
    });
}

/** Processes that share the work of this one until it leaves them. */
export interface Joined {
  /** The processes. */
  readonly ranks: Ranks;
  /** The library by which they talk, and whether a process that is gone is noticed; absent for one process alone. */
  readonly library?: MpiLibrary & { readonly watched: boolean };
  /** Leaves the others in order, when all do. */
  readonly leave: () => Promise<void>;
}

function refused(launch: Launch, found: string): OneloraError {
  return new OneloraError({
    attempted: `joining the ${launch.size} processes that ${launch.launcher} has started`,
    found,
    allowed: `the launcher of the MPI library that is installed; ${MPI_FOLDER} names the folder of another one`,
  });
}

/**
 * Joins the other processes of the job, if a launcher has started several. From then on they share the work of training and
 * its evaluations; all must do the same. They leave in order at the end; a process that just ends takes the others with it.
 *
 * @param advice What is left when another process is gone, in words
 * @throws OneloraError where the launcher's processes cannot talk by a library that is here
 *
 * @example
 * ```ts
 * import { joinRanks } from "./join.ts";
 * import { assertEquals } from "@std/assert";
 * const { ranks, leave } = await joinRanks();
 * assertEquals(ranks.size, 1);
 * await leave();
 * ```
 */
export async function joinRanks(advice: string = "starting again"): Promise<Joined> {
  const launch = launchOf();
  if (launch === undefined || launch.size === 1) return { ranks: alone, leave: () => Promise.resolve() };
  const unusable: string[] = [];
  const found = findMpi((why) => void unusable.push(why));
  const library = launch.kinds.map((kind) => found.find((each) => each.kind === kind)).find((each) =>
    each !== undefined
  );
  if (library === undefined) {
    const others = [...found.map(({ version }) => `only ${version}`), ...unusable].join(", ");
    throw refused(launch, others || "no MPI library, or no permission to open one (`--allow-ffi`)");
  }
  if (launch.local !== undefined) takeCard(launch.local, nvidia()?.cards.length);
  const mpi = openMpi(library);
  const isThreaded = mpi.init();
  const ranks = ranksOf(mpi);
  if (ranks.size === 1 || !Number.isNaN(launch.size) && ranks.size !== launch.size) {
    throw refused(launch, `${ranks.size} of them by ${library.version}`);
  }
  const versions = await gatherValues(ranks, library.version);
  const other = versions.find((version) => version !== library.version);
  if (other !== undefined) throw refused(launch, `${library.version} here and ${other} elsewhere`);
  const { kind, path } = library;
  const tell = isThreaded
    ? watch({ library: { kind, path }, rank: ranks.rank, size: ranks.size, advice })
    : () => Promise.resolve();
  const back = shareWith(ranks);
  return {
    ranks,
    library: { ...library, watched: isThreaded },
    leave: async () => {
      back();
      await together(ranks);
      await tell("hush");
      // Whatever anyone has said is on its way by now.
      await together(ranks);
      await tell("stop");
      mpi.finalize();
    },
  };
}

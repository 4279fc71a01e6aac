/**
 * The functions of an MPI library.
 *
 * @module
 */
import { type Abi, abis, type MpiHandle, type MpiLibrary } from "./find.ts";

/** The functions of MPI that are used, with what the library wants filled in. */
export interface Mpi {
  /** Starts it; whether several threads may call. */
  readonly init: () => boolean;
  /** Number of this process. */
  readonly rank: () => number;
  /** Number of all. */
  readonly size: () => number;
  /** Begins to add up, in place. */
  readonly allreduce: (values: Float32Array) => Request;
  /** Begins to give each process its piece of `own`, in order, and to take this one's piece of each into `all`. */
  readonly alltoall: (own: Float32Array, all: Float32Array, pieceLength: number) => Request;
  /** Begins to give `own`, of words of 4 bytes, to all, and to take theirs into `all`. */
  readonly allgather: (own: Uint8Array, all: Uint8Array) => Request;
  /** Begins to give bytes of the first process, in words of 4, to all. */
  readonly broadcast: (bytes: Uint8Array) => Request;
  /** Begins to send words of 4 bytes. */
  readonly send: (bytes: Uint8Array, to: number) => Request;
  /** Begins to receive words of 4 bytes. */
  readonly receive: (bytes: Uint8Array, from: number) => Request;
  /** Lets another process of this processor run. */
  readonly yieldNow: () => void;
  /** Sleeps for so many microseconds. */
  readonly sleep: (microseconds: number) => void;
  /** Ends MPI in order; all do. */
  readonly finalize: () => void;
  /** Ends every process of the job, as far as they can be reached; comes back at once. */
  readonly abort: (code: number) => void;
  /** Ends this process, whatever its threads do. */
  readonly exit: (code: number) => void;
}

/** Something that was begun. */
export interface Request {
  /** Whether it is done. */
  readonly isDone: () => boolean;
  /** Gives it up. */
  readonly cancel: () => void;
}

/** Marks messages of the watch. */
const TAG = 1;
/** Words of a message at most: counts are 32 bits. */
const MOST_WORDS = 2 ** 28;

/** Memory that stays where it is while MPI works on it: small arrays of V8's own may move. */
function pinned(bytes: number): ArrayBuffer {
  return new ArrayBuffer(Math.max(bytes, 64));
}

/** The functions as the library declares them. */
function declarations({ handle, predefined }: Abi) {
  const request = "buffer";
  const variables = Object.fromEntries(
    Object.entries(predefined).flatMap(([name, each]) =>
      typeof each === "string" ? [[name, { name: each, type: "pointer" as const }]] : []
    ),
  );
  return {
    ...variables,
    MPI_Init_thread: { parameters: ["u64", "u64", "i32", "buffer"], result: "i32" },
    MPI_Comm_rank: { parameters: [handle, "buffer"], result: "i32" },
    MPI_Comm_size: { parameters: [handle, "buffer"], result: "i32" },
    MPI_Iallreduce: { parameters: ["u64", "buffer", "i32", handle, handle, handle, request], result: "i32" },
    MPI_Iallgather: {
      parameters: ["buffer", "i32", handle, "buffer", "i32", handle, handle, request],
      result: "i32",
    },
    MPI_Ialltoall: {
      parameters: ["buffer", "i32", handle, "buffer", "i32", handle, handle, request],
      result: "i32",
    },
    MPI_Ibcast: { parameters: ["buffer", "i32", handle, "i32", handle, request], result: "i32" },
    MPI_Isend: { parameters: ["buffer", "i32", handle, "i32", "i32", handle, request], result: "i32" },
    MPI_Irecv: { parameters: ["buffer", "i32", handle, "i32", "i32", handle, request], result: "i32" },
    MPI_Test: { parameters: [request, "buffer", "u64"], result: "i32" },
    MPI_Cancel: { parameters: [request], result: "i32" },
    MPI_Request_free: { parameters: [request], result: "i32" },
    MPI_Finalize: { parameters: [], result: "i32" },
    MPI_Abort: { parameters: [handle, "i32"], result: "i32", nonblocking: true },
    // Of the C library, which every MPI library brings along.
    sched_yield: { parameters: [], result: "i32" },
    usleep: { parameters: ["u32"], result: "i32" },
    _exit: { parameters: ["i32"], result: "void" },
  } as const;
}

type Callable = (...args: readonly unknown[]) => number;

/**
 * Opens a library for calls; a second thread of a process opens the same one.
 *
 * @param library The library
 */
export function openMpi({ kind, path }: Pick<MpiLibrary, "kind" | "path">): Mpi {
  const abi = abis[kind];
  const symbols = Deno.dlopen(path, declarations(abi) as Deno.ForeignLibraryInterface).symbols as unknown as Readonly<
    Record<string, Callable & Deno.PointerValue>
  >;
  const handleOf = (name: keyof Abi["predefined"]): MpiHandle => {
    const given = abi.predefined[name];
    return typeof given === "bigint" ? given : symbols[name];
  };
  const [world, float, sum] = [handleOf("world"), handleOf("float"), handleOf("sum")];
  const number = (f: Callable) => {
    const value = new Int32Array(pinned(4));
    f(world, value);
    return value[0];
  };
  // Kept by the request: what MPI works on must stay.
  const begun = (begin: (request: Uint8Array) => void, ...kept: readonly unknown[]): Request => {
    const [request, flag] = [new Uint8Array(pinned(8)), new Int32Array(pinned(4))];
    begin(request);
    let done = false;
    return {
      isDone: () => {
        if (done || kept.length < 0) return true;
        symbols.MPI_Test(request, flag, abi.noStatus);
        return done = flag[0] !== 0;
      },
      cancel: () => {
        if (done) return;
        symbols.MPI_Cancel(request);
        symbols.MPI_Request_free(request);
      },
    };
  };
  const words = (bytes: Uint8Array) => bytes.byteLength / 4;
  return {
    init: () => {
      const provided = new Int32Array(pinned(4));
      symbols.MPI_Init_thread(0n, 0n, abi.threads, provided);
      return provided[0] >= abi.threads;
    },
    rank: () => number(symbols.MPI_Comm_rank),
    size: () => number(symbols.MPI_Comm_size),
    allreduce: (values) => {
      const parts = Array.from(
        { length: Math.ceil(values.length / MOST_WORDS) },
        (_, i) => values.subarray(i * MOST_WORDS, (i + 1) * MOST_WORDS),
      ).map((part) =>
        begun((request) => {
          symbols.MPI_Iallreduce(abi.inPlace, part, part.length, float, sum, world, request);
        }, part)
      );
      return {
        isDone: () => parts.every((part) => part.isDone()),
        cancel: () => parts.forEach((part) => part.cancel()),
      };
    },
    alltoall: (own, all, pieceLength) =>
      begun(
        (request) => {
          symbols.MPI_Ialltoall(own, pieceLength, float, all, pieceLength, float, world, request);
        },
        own,
        all,
      ),
    allgather: (own, all) =>
      begun(
        (request) => {
          symbols.MPI_Iallgather(own, words(own), float, all, words(own), float, world, request);
        },
        own,
        all,
      ),
    broadcast: (bytes) =>
      begun((request) => {
        symbols.MPI_Ibcast(bytes, words(bytes), float, 0, world, request);
      }, bytes),
    send: (bytes, to) =>
      begun((request) => {
        symbols.MPI_Isend(bytes, words(bytes), float, to, TAG, world, request);
      }, bytes),
    receive: (bytes, from) =>
      begun((request) => {
        symbols.MPI_Irecv(bytes, words(bytes), float, from, TAG, world, request);
      }, bytes),
    yieldNow: () => void symbols.sched_yield(),
    sleep: (microseconds) => void symbols.usleep(microseconds),
    finalize: () => void symbols.MPI_Finalize(),
    abort: (code) => void symbols.MPI_Abort(world, code),
    exit: (code) => void symbols._exit(code),
  };
}

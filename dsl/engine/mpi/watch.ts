/**
 * A thread of each process of a job that says to others, twice a second, that the process is there, and listens to them. A
 * process that is stopped, dead or cut off says nothing: then the others end, since what they wait for never comes.
 *
 * It knows no process whose main thread computes for ever: computing is what they are for.
 *
 * @module
 */
import { openMpi, type Request } from "./library.ts";
import type { MpiKind } from "./find.ts";

/** What the thread is to watch. */
export interface Watch {
  /** The library, which the process has started. */
  readonly library: { readonly kind: MpiKind; readonly path: string };
  /** Number of this process. */
  readonly rank: number;
  /** Number of all. */
  readonly size: number;
  /** What to say to people when it ends, after the reason. */
  readonly advice: string;
}

/** This thread's side of its channel. */
interface Channel {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(word: Word): void;
  close(): void;
}

const channel = globalThis as unknown as Channel;

/** Told to the thread at the end: first to say no more, then, when nobody does, to listen no more. */
export type Word = "hush" | "stop";

/** Milliseconds between words. */
const EVERY = 500;
/** Milliseconds of silence after which a process is given up. */
const SILENCE = 7_000;
/** Milliseconds that the first word may take: threads of a busy machine start late. */
const FIRST = 60_000;
/** Milliseconds between two looks of this thread after which it was itself stopped, and heard nobody. */
const STOPPED = 3_000;
/** Milliseconds for a line to be read before the launcher ends those that are left. */
const LAST_WORDS = 400;

/** Those that a process says it to and hears it from: distances of powers of two both ways, all in a small job. */
export function watched(rank: number, size: number): readonly number[] {
  const found = new Set<number>();
  for (let distance = 1; distance < size; distance *= 2) {
    found.add((rank + distance) % size).add((rank - distance + size) % size);
  }
  return [...found].sort((a, b) => a - b);
}

/** One that is watched. */
interface Other {
  readonly rank: number;
  readonly words: Uint8Array;
  incoming: Request;
  outgoing?: Request;
  heard: number;
  hasSpoken: boolean;
}

function start({ library, rank, size, advice }: Watch): void {
  const mpi = openMpi(library);
  const own = new Uint8Array(64).subarray(0, 4);
  const now = () => performance.now();
  const others = watched(rank, size).map((each): Other => {
    const words = new Uint8Array(64).subarray(0, 4);
    return { rank: each, words, incoming: mpi.receive(words, each), heard: now(), hasSpoken: false };
  });
  let last = now();
  let isEnding = false;
  let isLeaving = false;

  const end = (dead: number) => {
    isEnding = true;
    const line =
      `error: training with ${size} processes: found no sign of life of rank ${dead} for ${SILENCE / 1000} s; ` +
      `allowed: ${advice}\n`;
    // One of those that are left says it; the launcher ends the others as soon as one has ended.
    const isSpeaker = rank === (dead === 0 ? 1 : 0);
    if (isSpeaker) Deno.stderr.writeSync(new TextEncoder().encode(line));
    setTimeout(() => {
      mpi.abort(1);
      setTimeout(() => mpi.exit(1), LAST_WORDS);
    }, isSpeaker ? 0 : 2 * LAST_WORDS);
  };

  const look = () => {
    if (isEnding) return;
    const time = now();
    const wasStopped = time - last > STOPPED;
    last = time;
    for (const other of others) {
      while (other.incoming.isDone()) {
        other.heard = time;
        other.hasSpoken = true;
        other.incoming = mpi.receive(other.words, other.rank);
      }
      if (wasStopped) other.heard = time;
      if (isLeaving) continue;
      if (other.outgoing === undefined || other.outgoing.isDone()) other.outgoing = mpi.send(own, other.rank);
    }
    if (isLeaving) return;
    const silent = others.find(({ heard, hasSpoken }) => time - heard > (hasSpoken ? SILENCE : FIRST));
    if (silent !== undefined) end(silent.rank);
  };

  const timer = setInterval(look, EVERY);
  look();
  const stop = () => {
    // What was said before is taken.
    look();
    clearInterval(timer);
    for (const { incoming, outgoing } of others) {
      incoming.cancel();
      outgoing?.cancel();
    }
  };
  channel.onmessage = ({ data: word }: MessageEvent<Word>) => {
    isLeaving = true;
    if (word === "stop") stop();
    channel.postMessage(word);
    if (word === "stop") channel.close();
  };
}

// In a thread alone: the process itself takes names and types from here.
if ("WorkerGlobalScope" in globalThis) {
  channel.onmessage = ({ data }: MessageEvent<Watch>) => start(data);
}

/**
 * Lists of calls: written once, made many times.
 *
 * @module
 */
import { OneloraError } from "../../error.ts";
import type { Pool, WasmFunction } from "./pool.ts";
import { Field, MOST_CALLS, STRIDE, WIDTH } from "./serve.ts";

/** A call of a list. */
export interface ListedCall {
  /** The function's number. */
  readonly called: number;
  /** Its arguments. */
  readonly args: readonly number[];
  /** How many calls, the first ones of the list, must be done before it. */
  readonly after: number;
}

/** A function that lists may call: the calling thread's, and its code in memory if it is not one of the kernels'. */
export interface Callable {
  /** The calling thread's own. */
  readonly run: WasmFunction;
  /** Where its code is; 0 for a kernel's. */
  readonly code: number;
  /** The code's length. */
  readonly length: number;
}

/** A list, and the numbers it consists of, among them the arguments, which may be changed between runs. */
export interface CallList {
  /** {@linkcode STRIDE} numbers a call; see {@linkcode Field}. */
  readonly numbers: Float64Array;
  /** Makes the calls from `first` to before `end`. */
  readonly run: (first: number, end: number) => void;
  /** Gives its memory back. */
  readonly free: () => void;
}

/** What lists are made with. */
export interface Lists {
  /** All functions, by number. */
  readonly callables: readonly Callable[];
  /** The threads; nothing where the calling one is alone. */
  readonly pool: Pool | undefined;
  /** The calling thread's work area. */
  readonly work: number;
  /** Takes memory that all threads share: its address, a multiple of 64. */
  readonly allocate: (bytes: number) => number;
  /** Gives it back. */
  readonly free: (address: number) => void;
  /** Numbers at an address of that memory. */
  readonly numbersAt: (address: number, count: number) => Float64Array;
}

/** Writes a call to its place. */
function write(numbers: Float64Array, place: number, { called, args, after }: ListedCall, { code, length }: Callable) {
  if (args.length > WIDTH) throw new RangeError(`a call of ${args.length} arguments, at most ${WIDTH}`);
  const at = place * STRIDE;
  numbers[at + Field.after] = after;
  numbers[at + Field.called] = called;
  numbers[at + Field.arity] = args.length;
  numbers[at + Field.code] = code;
  numbers[at + Field.codeLength] = length;
  numbers.set(args, at + Field.first);
}

/** A list for this thread alone. */
function ownList(calls: number, { callables, work }: Lists): CallList {
  const numbers = new Float64Array(calls * STRIDE);
  return {
    numbers,
    run: (first, end) => {
      for (let call = first; call < end; call++) {
        const at = call * STRIDE;
        const args: number[] = [];
        for (let i = at + Field.first, last = i + numbers[at + Field.arity]; i < last; i++) {
          args.push(Number.isNaN(numbers[i]) ? work : numbers[i]);
        }
        callables[numbers[at + Field.called]].run(...args);
      }
    },
    free: () => {},
  };
}

/** A list in the memory that threads share. */
function sharedList(calls: number, pool: Pool, { allocate, free, numbersAt }: Lists): CallList {
  const address = allocate(calls * STRIDE * 8);
  return {
    numbers: numbersAt(address, calls * STRIDE),
    run: (first, end) => pool.run(address, first, end),
    free: () => free(address),
  };
}

/**
 * A list of calls.
 *
 * @param calls The calls, in order
 * @param lists What it is made with
 */
export function makeList(calls: readonly ListedCall[], lists: Lists): CallList {
  if (calls.length > MOST_CALLS) {
    throw new OneloraError({
      attempted: "listing the kernels of a program",
      found: `${calls.length} calls`,
      allowed: `at most ${MOST_CALLS}: fewer threads, or a smaller batch`,
    });
  }
  const { pool, callables } = lists;
  const list = pool === undefined ? ownList(calls.length, lists) : sharedList(calls.length, pool, lists);
  calls.forEach((call, place) => write(list.numbers, place, call, callables[call.called]));
  return list;
}

/**
 * Makes a few calls of one function at once: a function of their arguments.
 *
 * @param most Most calls
 * @param lists What lists are made with
 */
export function regions(
  most: number,
  lists: Lists,
): (called: number, chunks: readonly (readonly number[])[]) => void {
  const empty: ListedCall = { called: 0, args: [], after: 0 };
  const list = makeList(Array(most).fill(empty), lists);
  return (called, chunks) => {
    const callable = lists.callables[called];
    chunks.forEach((args, place) => write(list.numbers, place, { called, args, after: 0 }, callable));
    list.run(0, chunks.length);
  };
}

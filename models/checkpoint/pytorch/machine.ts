/**
 * The state of a machine that reads a pickle: bytes, stack, marks and memo, and what may be done to them.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import type { Value } from "./value.ts";

/** A machine at work; `stack` above the last of `marks` is what operations may take. */
export interface Machine {
  /** What is being read, for error lines. */
  readonly attempted: string;
  /** The pickle, and what may follow it. */
  readonly bytes: Uint8Array;
  /** Next byte. */
  at: number;
  /** First byte of the operation that runs. */
  began: number;
  /** Values that wait. */
  readonly stack: Value[];
  /** Heights of the stack where groups of values begin. */
  readonly marks: number[];
  /** Values kept by number. */
  readonly memo: Map<number, Value>;
}

const ALLOWED = "tensors in dicts, as torch.save(model.state_dict(), FILE) writes them";

/**
 * Refuses what the running operation found.
 *
 * @param machine The machine
 * @param found What was found
 * @param allowed What is allowed there
 */
export function refuse({ attempted, began }: Machine, found: string, allowed: string = ALLOWED): never {
  throw new OneloraError({ attempted, found: `${found} at byte ${began} of its pickle`, allowed });
}

/**
 * The next bytes.
 *
 * @param machine The machine
 * @param length How many
 */
export function take(machine: Machine, length: number): Uint8Array {
  const left = machine.bytes.length - machine.at;
  if (length > left) refuse(machine, `data of ${length} bytes where ${left} are left`);
  machine.at += length;
  return machine.bytes.subarray(machine.at - length, machine.at);
}

/**
 * The next bytes as a whole number, little endian, 0 or more.
 *
 * @param machine The machine
 * @param length How many, at most 8; a number past 2^53 is rounded, which no length can be
 */
export function unsigned(machine: Machine, length: number): number {
  return take(machine, length).reduceRight((sum, byte) => sum * 256 + byte, 0);
}

/**
 * The next bytes as a whole number, little endian, in two's complement.
 *
 * @param machine The machine
 * @param length How many, at most 16
 */
export function signed(machine: Machine, length: number): number | bigint {
  const hex = take(machine, length).toReversed().toHex();
  const value = BigInt.asIntN(length * 8, BigInt(`0x0${hex}`));
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/**
 * The next bytes as text.
 *
 * @param machine The machine
 * @param length How many
 */
export function text(machine: Machine, length: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(machine, length));
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    return refuse(machine, "text that is no UTF-8");
  }
}

/**
 * The text up to the end of the line.
 *
 * @param machine The machine
 */
export function line(machine: Machine): string {
  const end = machine.bytes.indexOf(0x0a, machine.at);
  if (end < 0) refuse(machine, "a line without an end");
  const read = text(machine, end - machine.at);
  machine.at += 1;
  return read;
}

/**
 * Takes the top of the stack.
 *
 * @param machine The machine
 */
export function pop(machine: Machine): Value {
  const { stack, marks } = machine;
  if (stack.length <= (marks.at(-1) ?? 0)) refuse(machine, "an operation on an empty stack");
  return stack.pop()!;
}

/**
 * The top of the stack, which stays.
 *
 * @param machine The machine
 */
export function top(machine: Machine): Value {
  const value = pop(machine);
  machine.stack.push(value);
  return value;
}

/**
 * Takes everything above the last mark, and the mark.
 *
 * @param machine The machine
 */
export function popMarked(machine: Machine): Value[] {
  const mark = machine.marks.pop();
  return mark === undefined ? refuse(machine, "an operation without a mark") : machine.stack.splice(mark);
}

/**
 * Takes several values.
 *
 * @param machine The machine
 * @param count How many
 */
export function popSeveral(machine: Machine, count: number): Value[] {
  return Array.from({ length: count }, () => pop(machine)).reverse();
}

/**
 * Pickles, Python's serialised objects, without Python: a machine with a stack and a memo that knows the operations which
 * build plain values and tensors, and refuses every other by name. Nothing in a file is ever run.
 *
 * Format: the operations of Python's `pickletools`, protocols 2 to 5.
 *
 * @module
 */
import { show } from "../../../dsl/files/json.ts";
import { allowedGlobals, findGlobal, findStorage } from "./globals.ts";
import {
  line,
  type Machine,
  pop,
  popMarked,
  popSeveral,
  refuse,
  signed,
  take,
  text,
  top,
  unsigned,
} from "./machine.ts";
import { isKind, type Made, type Value } from "./value.ts";

/** Most operations: several times what real checkpoints have, and few enough for memory whatever they build. */
const MOST_OPERATIONS = 2 ** 21;
/** Longest whole number, bytes. */
const MOST_LONG_BYTES = 16;

/** Puts what was made on the stack. */
function put(machine: Machine, made: Made): void {
  if ("wrong" in made) refuse(machine, made.wrong);
  else machine.stack.push(made.value);
}

function global(machine: Machine, name: string): void {
  put(machine, { value: findGlobal(name) ?? refuse(machine, `the name ${show(name)}`, allowedGlobals) });
}

/** Calls a name with arguments, by REDUCE or NEWOBJ. */
function call(machine: Machine): void {
  const [callable, args] = popSeveral(machine, 2);
  if (!isKind(callable, "global") || callable.call === undefined || !Array.isArray(args)) {
    refuse(machine, "a call of something that is no function");
  } else {
    put(machine, callable.call(args));
  }
}

/** Adds keys and values, one after the other, to the dict on top. */
function setItems(machine: Machine, items: readonly Value[]): void {
  const dict = top(machine);
  if (!(dict instanceof Map) || items.length % 2 !== 0) return refuse(machine, "items for something that is no dict");
  for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
}

/** Adds values to the list on top. */
function append(machine: Machine, items: readonly Value[]): void {
  const list = top(machine);
  if (!Array.isArray(list)) return refuse(machine, "values for something that is no list");
  for (const item of items) list.push(item);
}

function remember(machine: Machine, index: number): void {
  machine.memo.set(index, top(machine));
}

function recall(machine: Machine, index: number): void {
  const value = machine.memo.get(index);
  put(machine, value === undefined ? { wrong: `memo ${index}, which is empty` } : { value });
}

function long(machine: Machine, length: number): number | bigint {
  if (length > MOST_LONG_BYTES) refuse(machine, `a whole number of ${length} bytes`);
  return signed(machine, length);
}

function float(machine: Machine): number {
  const { buffer, byteOffset } = take(machine, 8);
  return new DataView(buffer, byteOffset).getFloat64(0);
}

/** An operation that puts a value of its data on the stack. */
function pushing(make: (machine: Machine) => Value): (machine: Machine) => void {
  return (machine) => void machine.stack.push(make(machine));
}

/** The operations by their byte, but STOP. */
const OPERATIONS: ReadonlyMap<number, (machine: Machine) => void> = new Map(
  Object.entries<(m: Machine) => void>({
    // PROTO, FRAME: what they say of the bytes to come is of no use here.
    "\x80": (m) => {
      const protocol = unsigned(m, 1);
      if (protocol < 2 || protocol > 5) refuse(m, `pickle protocol ${protocol}`, "protocols 2 to 5");
    },
    "\x95": (m) => void unsigned(m, 8),
    // MARK, POP, POP_MARK
    "(": (m) => void m.marks.push(m.stack.length),
    "0": (m) => void pop(m),
    "1": (m) => void popMarked(m),
    // NONE, NEWTRUE, NEWFALSE
    "N": pushing(() => null),
    "\x88": pushing(() => true),
    "\x89": pushing(() => false),
    // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
    "J": pushing((m) => signed(m, 4)),
    "K": pushing((m) => unsigned(m, 1)),
    "M": pushing((m) => unsigned(m, 2)),
    "\x8a": pushing((m) => long(m, unsigned(m, 1))),
    "\x8b": pushing((m) => long(m, unsigned(m, 4))),
    "G": pushing(float),
    // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; Python 2's BINSTRING, SHORT_BINSTRING; BINBYTES, SHORT_BINBYTES
    "X": pushing((m) => text(m, unsigned(m, 4))),
    "\x8c": pushing((m) => text(m, unsigned(m, 1))),
    "\x8d": pushing((m) => text(m, unsigned(m, 8))),
    "T": pushing((m) => text(m, unsigned(m, 4))),
    "U": pushing((m) => text(m, unsigned(m, 1))),
    "B": pushing((m) => take(m, unsigned(m, 4))),
    "C": pushing((m) => take(m, unsigned(m, 1))),
    // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT; TUPLE, TUPLE1, TUPLE2, TUPLE3, LIST
    ")": pushing(() => []),
    "]": pushing(() => []),
    "}": pushing(() => new Map()),
    "t": pushing(popMarked),
    "\x85": pushing((m) => popSeveral(m, 1)),
    "\x86": pushing((m) => popSeveral(m, 2)),
    "\x87": pushing((m) => popSeveral(m, 3)),
    "l": pushing(popMarked),
    // SETITEM, SETITEMS, APPEND, APPENDS
    "s": (m) => setItems(m, popSeveral(m, 2)),
    "u": (m) => setItems(m, popMarked(m)),
    "a": (m) => append(m, popSeveral(m, 1)),
    "e": (m) => append(m, popMarked(m)),
    // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
    "q": (m) => remember(m, unsigned(m, 1)),
    "r": (m) => remember(m, unsigned(m, 4)),
    "\x94": (m) => remember(m, m.memo.size),
    "h": (m) => recall(m, unsigned(m, 1)),
    "j": (m) => recall(m, unsigned(m, 4)),
    // GLOBAL, STACK_GLOBAL
    "c": (m) => global(m, `${line(m)}.${line(m)}`),
    "\x93": (m) => {
      const [module, name] = popSeveral(m, 2);
      if (typeof module !== "string" || typeof name !== "string") refuse(m, "a name that is no text");
      global(m, `${module}.${name}`);
    },
    // BINPERSID, REDUCE, NEWOBJ
    "Q": (m) => put(m, findStorage(pop(m))),
    "R": call,
    "\x81": call,
    // BUILD: what objects remember beside their items (a state dict's versions, settings) is left out.
    "b": (m) => {
      pop(m);
      top(m);
    },
  }).map(([byte, run]) => [byte.charCodeAt(0), run]),
);

/** Operations that are refused, for the error line. */
const REFUSED: ReadonlyMap<number, string> = new Map(
  Object.entries({
    "F": "FLOAT",
    "I": "INT",
    "L": "LONG",
    "P": "PERSID",
    "S": "STRING",
    "V": "UNICODE",
    "2": "DUP",
    "d": "DICT",
    "g": "GET",
    "i": "INST",
    "o": "OBJ",
    "p": "PUT",
    "\x82": "EXT1",
    "\x83": "EXT2",
    "\x84": "EXT4",
    "\x8e": "BINBYTES8",
    "\x8f": "EMPTY_SET",
    "\x90": "ADDITEMS",
    "\x91": "FROZENSET",
    "\x92": "NEWOBJ_EX",
    "\x96": "BYTEARRAY8",
    "\x97": "NEXT_BUFFER",
    "\x98": "READONLY_BUFFER",
  }).map(([byte, name]) => [byte.charCodeAt(0), name]),
);

const STOP = ".".charCodeAt(0);

/**
 * The value that a pickle stands for.
 *
 * @param attempted What is being read, for error lines
 * @param bytes The pickle, and what may follow it
 * @param begin Its first byte
 * @returns The value, and the first byte after the pickle
 * @throws OneloraError naming the first operation or name that is not allowed, and its byte
 */
export function unpickle(
  attempted: string,
  bytes: Uint8Array,
  begin: number = 0,
): { readonly value: Value; readonly end: number } {
  const machine: Machine = { attempted, bytes, at: begin, began: begin, stack: [], marks: [], memo: new Map() };
  for (let count = 0; count < MOST_OPERATIONS; count++) {
    machine.began = machine.at;
    const [byte] = take(machine, 1);
    if (byte === STOP) return { value: pop(machine), end: machine.at };
    const operation = OPERATIONS.get(byte);
    const hex = `0x${byte.toString(16).padStart(2, "0")}`;
    if (operation === undefined) refuse(machine, `the operation ${REFUSED.get(byte) ?? hex}`);
    else operation(machine);
  }
  return refuse(machine, `more than ${MOST_OPERATIONS} operations`);
}

/**
 * Writing WebAssembly: a module of one function over vectors of four floats.
 *
 * @module
 */

/** SIMD instructions that take and give vectors, by opcode. */
const VECTOR = {
  equal: 0x41,
  notEqual: 0x42,
  less: 0x43,
  greater: 0x44,
  lessEqual: 0x45,
  greaterEqual: 0x46,
  not: 0x4d,
  and: 0x4e,
  andNot: 0x4f,
  or: 0x50,
  bitselect: 0x52,
  addIntegers: 0xae,
  subtractIntegers: 0xb1,
  abs: 0xe0,
  negate: 0xe1,
  root: 0xe3,
  add: 0xe4,
  subtract: 0xe5,
  multiply: 0xe6,
  divide: 0xe7,
  minimum: 0xe8,
  maximum: 0xe9,
  pseudoMinimum: 0xea,
  pseudoMaximum: 0xeb,
  fromIntegers: 0xfa,
  multiplyAdd: 0x105,
  negativeMultiplyAdd: 0x106,
} as const;

/** A vector instruction. */
export type VectorInstruction = keyof typeof VECTOR;

/** An unsigned number in LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; bytes.length === 0 || rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(rest % 128 + (rest >= 128 ? 128 : 0));
  }
  return bytes;
}

/** A signed number of 32 bits in LEB128. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value | 0;; rest >>= 7) {
    const isLast = rest >> 6 === rest >> 31 && (rest >= -64 && rest < 64);
    bytes.push(rest & 127 | (isLast ? 0 : 128));
    if (isLast) return bytes;
  }
}

const I32 = 0x7f;
const V128 = 0x7b;
const EMPTY_BLOCK = 0x40;

/** The body of a function being written. Whatever makes a value puts it into a local of its own and gives its number. */
export class FunctionWriter {
  readonly #params: number;
  readonly #locals: number[] = [];
  readonly #code: number[] = [];
  readonly #constants = new Map<string, number>();
  readonly #prologue: number[] = [];

  /** @param params How many integers it takes: locals 0 to `params` - 1 */
  constructor(params: number) {
    this.#params = params;
  }

  #local(type: number): number {
    return this.#params + this.#locals.push(type) - 1;
  }

  /** A local for an integer, 0 at first. */
  integer(): number {
    return this.#local(I32);
  }

  /** A vector of four equal floats, or of four equal integers, made once at the function's start. */
  constant(value: number, kind: "float" | "integer" = "float"): number {
    const key = `${kind} ${Object.is(value, -0) ? "-0" : value}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const words = kind === "float" ? Float32Array.of(value) : Int32Array.of(value);
    const bytes = [...new Uint8Array(words.buffer)];
    const local = this.#local(V128);
    this.#prologue.push(0xfd, 0x0c, ...bytes, ...bytes, ...bytes, ...bytes, 0x21, ...unsigned(local));
    this.#constants.set(key, local);
    return local;
  }

  /** A vector computed from others. */
  vector(instruction: VectorInstruction, ...args: readonly number[]): number {
    for (const arg of args) this.#get(arg);
    this.#code.push(0xfd, ...unsigned(VECTOR[instruction]));
    return this.#keep();
  }

  /** Its integers shifted: to the left, or to the right with their signs. */
  shifted(vector: number, direction: "left" | "right", count: number): number {
    this.#get(vector);
    this.#code.push(0x41, ...signed(count), 0xfd, ...unsigned(direction === "left" ? 0xab : 0xac));
    return this.#keep();
  }

  /** Four floats, one and zeros, or four times one, at the sum of two integers. */
  load(how: "four" | "one" | "splat", base: number, offset?: number): number {
    this.#address(base, offset);
    this.#code.push(0xfd, ...unsigned({ four: 0x00, one: 0x5c, splat: 0x09 }[how]), 2, 0);
    return this.#keep();
  }

  /** Stores four floats, or the first one, at the sum of two integers. */
  store(how: "four" | "one", base: number, offset: number, vector: number): void {
    this.#address(base, offset);
    this.#get(vector);
    this.#code.push(0xfd, ...unsigned(how === "four" ? 0x0b : 0x5a), 2, 0, ...(how === "one" ? [0] : []));
  }

  /** target = source / divisor, source % divisor or source * factor, or + summand, of a constant or another local. */
  set(
    target: number,
    source: number,
    operation: "divide" | "rest" | "times" | "plus",
    other: number | { local: number },
  ): void {
    this.#get(source);
    if (typeof other === "number") this.#code.push(0x41, ...signed(other));
    else this.#get(other.local);
    this.#code.push({ divide: 0x6e, rest: 0x70, times: 0x6c, plus: 0x6a }[operation], 0x21, ...unsigned(target));
  }

  /** Repeats what `body` writes while local + step <= end; `body` itself moves the local on. */
  loop(local: number, step: number, end: number, body: () => void): void {
    this.#code.push(0x02, EMPTY_BLOCK, 0x03, EMPTY_BLOCK);
    this.#get(local);
    this.#code.push(0x41, ...signed(step), 0x6a);
    this.#get(end);
    // Out of the block once local + step > end, both unsigned.
    this.#code.push(0x4b, 0x0d, 1);
    body();
    this.#code.push(0x0c, 0, 0x0b, 0x0b);
  }

  #get(local: number): void {
    this.#code.push(0x20, ...unsigned(local));
  }

  #address(base: number, offset?: number): void {
    this.#get(base);
    if (offset === undefined) return;
    this.#get(offset);
    this.#code.push(0x6a);
  }

  #keep(): number {
    const local = this.#local(V128);
    this.#code.push(0x21, ...unsigned(local));
    return local;
  }

  /**
   * The module: it imports `env.memory`, as large as tfjs-wasm's may be, and exports the function as `run`.
   *
   * @param isShared Whether threads share that memory
   */
  module(isShared: boolean): Uint8Array<ArrayBuffer> {
    const text = (value: string) => [value.length, ...new TextEncoder().encode(value)];
    const section = (id: number, content: readonly number[]) => [id, ...unsigned(content.length), ...content];
    const locals = [...unsigned(this.#locals.length), ...this.#locals.flatMap((type) => [1, type])];
    const body = [...locals, ...this.#prologue, ...this.#code, 0x0b];
    const memory = [2, isShared ? 3 : 1, ...unsigned(256), ...unsigned(65536)];
    return Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, [1, 0x60, ...unsigned(this.#params), ...Array(this.#params).fill(I32), 0]),
      ...section(2, [1, ...text("env"), ...text("memory"), ...memory]),
      ...section(3, [1, 0]),
      ...section(7, [1, ...text("run"), 0, 0]),
      ...section(10, [1, ...unsigned(body.length), ...body]),
    ]);
  }
}

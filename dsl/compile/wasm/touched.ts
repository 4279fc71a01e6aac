/**
 * The memory that a process's tensors come to where the wasm engine runs a program.
 *
 * @module
 */
import type { Planned } from "../../engine/interface.ts";
import { turnedFilter } from "../../engine/wasm/convolve.ts";
import { sizeOf } from "../../tree.ts";
import { placesOf, type Tenant } from "../arena.ts";
import { type Call, followBuffers, type Program, type ValueId } from "../program.ts";

/** Calls after a value's last one that it is still there in: two to four, which need nothing of each other, run side by side. */
const BESIDE = 3;

/** Bytes of a convolution's filter as its products read it. */
function turnedBytes({ kernel, inputs, attrs }: Call, { types }: Program): number {
  const turned = kernel === "Conv2D" ? turnedFilter(types[inputs[1]].shape, attrs.strides as number) : undefined;
  return turned === undefined ? 0 : 4 * sizeOf(turned);
}

/** What a program takes: values with memory of their own, and the one piece in which all others have their places. */
interface Parts {
  readonly own: number;
  readonly arena: number;
}

function partsOf({ program, bytes, during }: Planned): Parts {
  const tenants: Tenant[] = [];
  const begun = new Map<ValueId, number>();
  let [own, next] = [0, -1];
  followBuffers(program, {
    made: (buffer) => {
      if (next < 0) own += bytes(buffer);
      else begun.set(buffer, next);
    },
    freed: (buffer) => {
      const from = begun.get(buffer);
      if (from === undefined) return;
      tenants.push({ bytes: bytes(buffer), from, to: next - 1 + BESIDE });
      begun.delete(buffer);
    },
    called: (call) => {
      next = call + 1;
      const made = call < 0 ? undefined : program.calls[call];
      const besides = made === undefined ? 0 : during(made) + turnedBytes(made, program);
      if (besides > 0) tenants.push({ bytes: besides, from: call, to: call });
    },
  });
  for (const result of begun.keys()) own += bytes(result);
  return { own, arena: placesOf(tenants).bytes };
}

/** What all that ran in a process takes, one after the other. */
function partsInTurn(planned: Planned): Parts {
  const { own, arena } = partsOf(planned);
  if (planned.after === undefined) return { own, arena };
  const before = partsInTurn(planned.after);
  // Programs take turns in one piece; one that is too large for it has another, and the engine's memory never becomes smaller.
  return { own: before.own + own, arena: before.arena + (arena <= before.arena ? 0 : arena) };
}

/**
 * Bytes of what is given, of constants, of results, which have memory of their own beside the state that they come after, and of
 * the one piece in which all else has its place, holes included.
 *
 * @param planned The program, and what ran before it
 */
export function touched(planned: Planned): number {
  const { own, arena } = partsInTurn(planned);
  return own + arena;
}

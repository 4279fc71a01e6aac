/**
 * TensorBoard's event, a protocol buffer (tensorflow/core/util/event.proto, framework/summary.proto): encoded, and as
 * much decoded as continuing a file needs.
 *
 * @module
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { OneloraError } from "../../dsl/error.ts";

/** Numbers of the fields, by message. */
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const SUMMARY = { value: 1 } as const;
const VALUE = { tag: 1, simpleValue: 2, image: 4 } as const;
const IMAGE = { height: 1, width: 2, colourSpace: 3, encoded: 4 } as const;

/** What a file starts with. */
const VERSION = "brain.Event:2";

/** Writes the fields of a message. */
type Fields = (writer: BinaryWriter) => BinaryWriter;

/** A field that holds a message. */
function nested(field: number, fields: Fields): Fields {
  return (writer) => fields(writer.tag(field, WireType.LengthDelimited).fork()).join();
}

function int(field: number, value: number): Fields {
  // Zero is what a field that is not there means.
  return (writer) => value === 0 ? writer : writer.tag(field, WireType.Varint).int64(value);
}

function text(field: number, value: string): Fields {
  return (writer) => writer.tag(field, WireType.LengthDelimited).string(value.toWellFormed());
}

function message(...parts: readonly Fields[]): Fields {
  return (writer) => parts.reduce((written, part) => part(written), writer);
}

function event(seconds: number, step: number, content: Fields): Uint8Array {
  const time: Fields = (writer) => writer.tag(EVENT.wallTime, WireType.Bit64).double(seconds);
  return message(time, int(EVENT.step, step), content)(new BinaryWriter()).finish();
}

/**
 * The event that a file starts with.
 *
 * @param seconds Seconds since 1970
 */
export function versionEvent(seconds: number): Uint8Array {
  return event(seconds, 0, text(EVENT.fileVersion, VERSION));
}

/**
 * Numbers of a step; TensorBoard keeps them in 32 bits.
 *
 * @param seconds Seconds since 1970
 * @param step Steps done
 * @param values By tag; a tag's part before its first slash is the group it is shown in
 */
export function scalarsEvent(seconds: number, step: number, values: Readonly<Record<string, number>>): Uint8Array {
  const each = Object.entries(values).map(([tag, value]) =>
    nested(
      SUMMARY.value,
      message(text(VALUE.tag, tag), (writer) => writer.tag(VALUE.simpleValue, WireType.Bit32).float(value)),
    )
  );
  return event(seconds, step, nested(EVENT.summary, message(...each)));
}

/** Channels by PNG's colour type: grey, colour, palette, grey with opacity, colour with opacity. */
const CHANNELS: Readonly<Record<number, number | undefined>> = { 0: 1, 2: 3, 3: 3, 4: 2, 6: 4 };

/**
 * Size and channels of a PNG file, from its first chunk; undefined for anything else.
 *
 * @param bytes The file
 */
export function pngFacts(
  bytes: Uint8Array,
): { readonly width: number; readonly height: number; readonly channels: number } | undefined {
  const signature = [137, 80, 78, 71, 13, 10, 26, 10];
  if (bytes.length < 26 || signature.some((byte, i) => bytes[i] !== byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const channels = CHANNELS[bytes[25]];
  return channels === undefined ? undefined : { width: view.getUint32(16), height: view.getUint32(20), channels };
}

/**
 * A picture of a step.
 *
 * @param seconds Seconds since 1970
 * @param step Steps done
 * @param tag Its name
 * @param png A PNG file
 * @throws OneloraError if it is none
 */
export function imageEvent(seconds: number, step: number, tag: string, png: Uint8Array): Uint8Array {
  const facts = pngFacts(png);
  if (facts === undefined) {
    throw new OneloraError({
      attempted: `logging the picture ${tag}`,
      found: `${png.length} bytes of something else`,
      allowed: "a PNG file",
    });
  }
  const image = message(
    int(IMAGE.height, facts.height),
    int(IMAGE.width, facts.width),
    int(IMAGE.colourSpace, facts.channels),
    (writer) => writer.tag(IMAGE.encoded, WireType.LengthDelimited).bytes(png),
  );
  const value = nested(SUMMARY.value, message(text(VALUE.tag, tag), nested(VALUE.image, image)));
  return event(seconds, step, nested(EVENT.summary, value));
}

/**
 * An event's step; undefined if the bytes are no event.
 *
 * @param bytes The encoded event
 */
export function stepOf(bytes: Uint8Array): number | undefined {
  try {
    const reader = new BinaryReader(bytes);
    let step = 0;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === EVENT.step && type === WireType.Varint) step = Number(reader.int64());
      else reader.skip(type, field);
    }
    return step;
  } catch {
    return undefined;
  }
}

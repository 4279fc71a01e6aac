/** Small archives. @module */
import { crc32, gzipSync } from "node:zlib";

/** The members of an archive by path. */
type Members = Readonly<Record<string, string>>;

/** Arrays one after another. */
function joined(arrays: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(arrays.reduce((sum, { length }) => sum + length, 0));
  arrays.reduce((at, each) => (whole.set(each, at), at + each.length), 0);
  return whole;
}

/** Little-endian numbers of 2 or 4 bytes. */
function record(...fields: readonly (readonly [value: number, bytes: 2 | 4])[]): Uint8Array {
  return joined(fields.map(([value, bytes]) => new Uint8Array(Uint32Array.of(value).buffer).slice(0, bytes)));
}

/** A zip archive whose members are stored as they are (PKWARE's APPNOTE 4.3). */
export function zip(members: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  for (const [name, content] of Object.entries(members)) {
    const title = encoder.encode(name);
    const data = typeof content === "string" ? encoder.encode(content) : content;
    // Version, flags, method, time, date, checksum, two sizes, length of the name, length of extra fields.
    const common = joined([
      record([20, 2], [0, 2], [0, 2], [0, 2], [0, 2]),
      record([crc32(data), 4], [data.length, 4], [data.length, 4], [title.length, 2], [0, 2]),
    ]);
    // Comment, disk, attributes inside and outside, place of the member.
    const place = record([0, 2], [0, 2], [0, 2], [0, 4], [joined(parts).length, 4]);
    directory.push(record([0x02014b50, 4], [20, 2]), common, place, title);
    parts.push(record([0x04034b50, 4]), common, title, data);
  }
  const count = Object.keys(members).length;
  const sizes = record([joined(directory).length, 4], [joined(parts).length, 4], [0, 2]);
  const end = record([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2]);
  return joined([...parts, ...directory, end, sizes]);
}

/** A gzipped tar archive (POSIX ustar). */
export function tarball(members: Members): Uint8Array {
  const encoder = new TextEncoder();
  const blocks = Object.entries(members).flatMap(([name, text]) => {
    const data = encoder.encode(text);
    const header = new Uint8Array(512);
    const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0") + "\0";
    const put = (at: number, field: string) => header.set(encoder.encode(field), at);
    put(0, name);
    put(100, octal(0o644, 7));
    put(124, octal(data.length, 11));
    put(136, octal(0, 11));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0" + "00");
    put(148, octal(header.reduce((sum, byte) => sum + byte, 0), 6));
    const padded = new Uint8Array(Math.ceil(data.length / 512) * 512);
    padded.set(data);
    return [header, padded];
  });
  return new Uint8Array(gzipSync(joined([...blocks, new Uint8Array(1024)])));
}

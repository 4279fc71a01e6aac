/**
 * CIFAR-10 and CIFAR-100 in their binary versions (source: "Binary version" on cs.toronto.edu/~kriz/cifar.html): records
 * of one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then 1,024 red, 1,024 green and 1,024 blue bytes.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { readArchive } from "./archive.ts";
import { checked, type ImageDataset, type ImageSplits } from "./dataset.ts";
import { isFile, listFolder, readBytes } from "./files.ts";

const SIDE = 32;
const PLANE = SIDE * SIDE;

interface Edition {
  readonly name: string;
  readonly folder: string;
  readonly classes: number;
  readonly labelBytes: number;
  readonly train: RegExp;
  readonly test: string;
  readonly names: string;
}

const EDITIONS = {
  cifar10: {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    classes: 10,
    labelBytes: 1,
    train: /^data_batch_\d+\.bin$/,
    test: "test_batch.bin",
    names: "batches.meta.txt",
  },
  cifar100: {
    name: "cifar100",
    folder: "cifar-100-binary",
    classes: 100,
    labelBytes: 2,
    train: /^train\.bin$/,
    test: "test.bin",
    names: "fine_label_names.txt",
  },
} as const satisfies Record<string, Edition>;

/** Where an edition's files are: a folder or an archive. */
interface Store {
  readonly at: string;
  readonly names: readonly string[];
  readonly read: (name: string) => Promise<Uint8Array>;
}

async function folderStore(edition: Edition, folder: string): Promise<Store> {
  const listed = await listFolder(folder);
  const nested = listed.some(({ name, isDirectory }) => isDirectory && name === edition.folder);
  const at = nested ? `${folder}/${edition.folder}` : folder;
  const names = (nested ? await listFolder(at) : listed).filter(({ isFile }) => isFile).map(({ name }) => name);
  return { at, names, read: (name) => readBytes(`${at}/${name}`) };
}

async function archiveStore({ train, test, names }: Edition, path: string): Promise<Store> {
  const files = await readArchive(path, (name) => train.test(name) || name === test || name === names);
  return { at: path, names: [...files.keys()], read: (name) => Promise.resolve(files.get(name)!) };
}

/** The class names, a line each; without their file, classes are numbered. */
async function readNames(edition: Edition, { at, names: present, read }: Store): Promise<readonly string[]> {
  if (!present.includes(edition.names)) return Array.from({ length: edition.classes }, (_, i) => `${i}`);
  const text = new TextDecoder().decode(await read(edition.names));
  const names = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (names.length === edition.classes) return names;
  throw new OneloraError({
    attempted: `reading ${at}/${edition.names}`,
    found: `${names.length} class names`,
    allowed: `${edition.classes}, a line each`,
  });
}

async function readRecords(edition: Edition, { at, read }: Store, name: string): Promise<Uint8Array> {
  const bytes = await read(name);
  const record = edition.labelBytes + 3 * PLANE;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading ${at}/${name}`, found, allowed });
  };
  if (bytes.length === 0 || bytes.length % record !== 0) {
    fail(`${bytes.length} bytes`, `whole records of ${record} bytes, at least one`);
  }
  for (let place = edition.labelBytes - 1; place < bytes.length; place += record) {
    if (bytes[place] >= edition.classes) {
      fail(`label ${bytes[place]} in record ${Math.floor(place / record)}`, `0 to ${edition.classes - 1}`);
    }
  }
  return bytes;
}

function dataset(
  edition: Edition,
  part: string,
  classes: readonly string[],
  files: readonly Uint8Array[],
): ImageDataset {
  const record = edition.labelBytes + 3 * PLANE;
  const ends: number[] = [];
  for (const file of files) ends.push((ends.at(-1) ?? 0) + file.length / record);
  /** The file that holds an example, and where its picture begins there, after its label. */
  const place = (index: number): readonly [bytes: Uint8Array, at: number] => {
    const file = ends.findIndex((end) => index < end);
    return [files[file], (index - (ends[file - 1] ?? 0)) * record + edition.labelBytes];
  };
  return checked({
    name: `${edition.name}/${part}`,
    size: ends[ends.length - 1],
    classes,
    labelOf: (index) => {
      const [bytes, at] = place(index);
      return bytes[at - 1];
    },
    get: (index) => {
      const [bytes, at] = place(index);
      const pixels = new Uint8Array(3 * PLANE);
      for (let channel = 0; channel < 3; channel++) {
        for (let i = 0; i < PLANE; i++) pixels[3 * i + channel] = bytes[at + channel * PLANE + i];
      }
      return { pixels, height: SIDE, width: SIDE, channels: 3, label: bytes[at - 1] };
    },
  });
}

/**
 * CIFAR-10 or CIFAR-100 (Krizhevsky, 2009): 32x32 colour images, 50,000 for training and 10,000 for testing when the
 * data are complete; the training part is every `data_batch_N.bin` that is there, in order of N.
 *
 * @param edition Which of the two; CIFAR-100 is labelled with its 100 fine classes
 * @param path The archive as it is published (`cifar-10-binary.tar.gz`), the unpacked folder, or the one that holds it
 */
export async function openCifar(edition: "cifar10" | "cifar100", path: string): Promise<ImageSplits> {
  const about: Edition = EDITIONS[edition];
  const store = await isFile(path) ? await archiveStore(about, path) : await folderStore(about, path);
  const training = store.names.filter((name) => about.train.test(name))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  if (training.length === 0 || !store.names.includes(about.test)) {
    const test = store.names.includes(about.test) ? "the" : "no";
    throw new OneloraError({
      attempted: `reading ${edition} from ${store.at}`,
      found: `${training.length} training files and ${test} ${about.test}`,
      allowed: `the binary version: ${edition === "cifar10" ? "data_batch_1.bin to data_batch_5.bin" : "train.bin"} ` +
        `and ${about.test}, in this place or in ${about.folder} inside it`,
    });
  }
  const classes = await readNames(about, store);
  const train: Uint8Array[] = [];
  for (const name of training) train.push(await readRecords(about, store, name));
  const test = await readRecords(about, store, about.test);
  return { train: dataset(about, "train", classes, train), test: dataset(about, "test", classes, [test]) };
}

/**
 * Which folders of a data set are its parts: one to train on, one to be judged on.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** Names of a part to train on, in any case, also with `_set`, `-data`, a year and the like behind. */
export const trainNames: readonly string[] = ["train", "training"];

/** Names of a part to be judged on, in any case; of several, the first counts. */
export const testNames: readonly string[] = [
  "test",
  "testing",
  "val",
  "valid",
  "validation",
  "dev",
  "eval",
  "evaluation",
];

/** What people put behind the name of a part: `training_set`, `test-data`, `val2017`. */
const BEHIND = /(?<=[a-z])[ _-]?(?:set|data|dataset|images|imgs|split|(?:19|20)\d\d)$/;

/** The part that a folder's name means: one of {@linkcode trainNames} or {@linkcode testNames}; else the name in small letters. */
export function partNamed(name: string): string {
  const small = name.trim().toLowerCase();
  const plain = small.replace(BEHIND, "");
  return [...trainNames, ...testNames].includes(plain) ? plain : small;
}

/** Whether a folder's name is that of a part. */
export function isPartName(name: string): boolean {
  return [...trainNames, ...testNames].includes(partNamed(name));
}

/** The parts of a folder. */
export interface Parts {
  /** Name of the folder to train on. */
  readonly train: string;
  /** Name of the folder to be judged on. */
  readonly test: string;
  /** Folders that are neither. */
  readonly others: readonly string[];
}

/**
 * The parts among some folders; nothing if the folders are classes.
 *
 * @param folder Where they lie
 * @param names Their names
 * @param holdsPictures Whether a folder holds pictures itself, rather than folders of them: `train` may be a class
 * @throws OneloraError for names of parts that leave open which is which, or which one to train on
 */
export async function findParts(
  folder: string,
  names: readonly string[],
  holdsPictures: (name: string) => Promise<boolean>,
): Promise<Parts | undefined> {
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading images from ${folder}`, found, allowed });
  };
  const among = (allowed: readonly string[]) => names.filter((name) => allowed.includes(partNamed(name)));
  const trains = among(trainNames);
  const tests = testNames.flatMap((part) => names.filter((name) => partNamed(name) === part));
  const others = names.filter((name) => !isPartName(name));
  const beside = `one of ${testNames.join(", ")} beside it, or class folders only`;
  if (trains.length > 1) fail(trains.join(" and "), "one folder to train on");
  const [train] = trains;
  const [test, second] = tests;
  if (train !== undefined && test !== undefined) {
    if (second !== undefined && partNamed(second) === partNamed(test)) {
      fail(`${test} and ${second}`, "one folder of that name");
    }
    return { train, test, others: names.filter((name) => name !== train && name !== test) };
  }
  const part = train ?? test;
  if (part === undefined) return undefined;
  // Trains are pictured, too: beside other classes, a folder of pictures is one.
  if (others.length > 0 && (await Promise.all([...trains, ...tests].map(holdsPictures))).every(Boolean)) {
    return undefined;
  }
  if (train !== undefined) return fail("train alone", beside);
  return fail(
    `${tests.join(", ")} without a folder to train on`,
    `${trainNames.join(" or ")} beside it, or class folders`,
  );
}

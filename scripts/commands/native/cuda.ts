/**
 * CUDA 12 and cuDNN 9 from NVIDIA's wheels on PyPI, for machines that have a driver and nothing else: the packages that
 * TensorFlow's extra `and-cuda` names, pinned.
 *
 * @module
 */

import { createWriteStream } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
// @ts-types="@types/yauzl"
import yauzl from "yauzl";
import { cudaFolder, missingCuda } from "../../../dsl/engine/tensorflow_environment.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { download } from "./download.ts";
import { systemOf } from "./system.ts";
import { findWheel } from "./wheel.ts";

/** Packages, versions and SHA-256 of their wheels for Linux on x86_64. */
export const cudaWheels: readonly (readonly [project: string, version: string, sha256: string])[] = [
  ["nvidia-cublas-cu12", "12.9.3.13", "d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72"],
  ["nvidia-cuda-cupti-cu12", "12.9.79", "096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f"],
  ["nvidia-cuda-nvcc-cu12", "12.9.86", "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0"],
  ["nvidia-cuda-nvrtc-cu12", "12.9.86", "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4"],
  ["nvidia-cuda-runtime-cu12", "12.9.79", "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3"],
  ["nvidia-cudnn-cu12", "9.28.0.42", "9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375"],
  ["nvidia-cufft-cu12", "11.4.1.4", "c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28"],
  ["nvidia-curand-cu12", "10.3.10.19", "49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e"],
  ["nvidia-cusolver-cu12", "11.7.5.82", "15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88"],
  ["nvidia-cusparse-cu12", "12.5.10.65", "73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78"],
  ["nvidia-nccl-cu12", "2.32.3", "bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c"],
  ["nvidia-nvjitlink-cu12", "12.9.86", "e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9"],
];

/** Where a file of a wheel goes, if anywhere: libraries, and what XLA compiles with. */
export function cudaDestination(member: string): string | undefined {
  if (/^nvidia\/[^/]+\/lib\/[^/]+\.so(\.\d+)*$/.test(member)) return join("lib", basename(member));
  const tool = /^nvidia\/cuda_nvcc\/(bin\/(?:ptxas|nvlink|fatbinary)|nvvm\/libdevice\/.+\.bc)$/.exec(member);
  return tool?.[1];
}

/** Unpacks what is wanted of a wheel. */
async function unpack(wheel: string, folder: string): Promise<void> {
  const archive = await yauzl.openPromise(wheel);
  let count = 0;
  for await (const entry of archive.eachEntry()) {
    const path = cudaDestination(entry.fileName);
    if (path === undefined) continue;
    const target = join(folder, path);
    await Deno.mkdir(dirname(target), { recursive: true });
    const mode = path.startsWith("bin") ? 0o755 : 0o644;
    await pipeline(await archive.openReadStreamPromise(entry), createWriteStream(target, { mode }));
    count++;
  }
  if (count === 0) {
    throw new OneloraError({ attempted: `unpacking ${wheel}`, found: "no library in it", allowed: "a wheel of CUDA" });
  }
}

/**
 * Puts CUDA beside TensorFlow's library, unless the system has all of it.
 *
 * @param folder Where TensorFlow is being installed
 * @param index Address of the Python package index
 * @param note Called with what is being done
 */
export async function installCuda(folder: string, index: string, note: (line: string) => void): Promise<void> {
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") {
    throw new OneloraError({ attempted: "installing CUDA", found: `${os} on ${arch}`, allowed: "linux on x86_64" });
  }
  const system = systemOf(Deno.build, true);
  const target = join(folder, cudaFolder);
  if (missingCuda(folder).length === 0) {
    note("CUDA 12 and cuDNN 9 are on this machine");
    return;
  }
  for (const [project, version, sha256] of cudaWheels) {
    const wheel = await findWheel(index, version, { ...system, project });
    note(`downloading ${wheel.filename}`);
    const path = join(folder, wheel.filename);
    await download(wheel.url, path, { algorithm: "sha256", value: sha256 });
    await unpack(path, target);
    await Deno.remove(path);
  }
}

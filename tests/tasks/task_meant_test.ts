/**
 * The task that is meant where none is named: by what data are called, and by the model.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { taskMeant } from "../../tasks/fine_tune/asked.ts";

const meant = async (data?: string, model?: string) => (await taskMeant({ data, model })).name;

Deno.test("data that one task has are of that task; others are of the one that trains the model, else of the first", async () => {
  assertEquals(await meant(), "image-classification");
  assertEquals(await meant("mnist"), "image-classification");
  assertEquals(await meant("images:DIR"), "image-classification");
  assertEquals(await meant("images:DIR", "dit-micro"), "generation");
  assertEquals(await meant("letters", "dit-micro"), "generation");
  assertEquals(await meant("pairs:rooms"), "depth");
  assertEquals(await meant("scenes-indoor", "vit-micro"), "depth");
  assertEquals(await meant("gsm8k:train.jsonl"), "reasoning");
  assertEquals(await meant("chats.jsonl"), "image-classification");
  assertEquals(await meant("chats.jsonl", "llama-micro"), "text");
  assertEquals(await meant("jsonl:chats", "vit-micro"), "text");
  assertEquals(await meant("parquet:chats", "llama-micro"), "text");
  assertEquals(await meant("parquet:pictures", "vit-micro"), "image-classification");
  assertEquals(await meant(undefined, "llama-micro"), "reasoning");
  assertEquals(await meant(undefined, "dpt-micro"), "depth");
});

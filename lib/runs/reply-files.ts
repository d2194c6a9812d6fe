import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { type Issue, RunnerError } from "../errors.ts";
import { syncFiles } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import { dropLinks } from "./drop-links.ts";
import type { PendingInteraction, ReplyFile } from "./interaction.ts";
import { type RunPaths, replyFolder, runPaths } from "./paths.ts";
import { slotsOf } from "./question.ts";
import { pendingOf, type Reply, takeReply } from "./reply.ts";
import type { Scheduler } from "./scheduler.ts";
import { sha256OfFile } from "./sha256.ts";

/** A file as it was received: where it lies, what the caller called it, its bytes. */
export interface UploadedFile {
  path: string;
  name: string | null;
  bytes: number;
}

/** A reply of files: which file goes into which slot of the question. */
export interface FileReply {
  interaction_id: number;
  idempotency_key: string | null;
  message: string | null;
  bindings: readonly { slot: string; file_index: number }[];
  files: readonly UploadedFile[];
}

interface Bound extends ReplyFile {
  /** Where it was received. */
  source: string;
  sha256: string;
}

/**
 * Answers a question with files. They are stored below the workspace under names of the server's making; the agent is
 * told their paths, everybody else only slot, name and size. The caller holds the run's lock.
 * @throws RunnerError REPLY_INVALID, and what `takeReply` throws
 */
export async function takeFiles(
  context: RunContext,
  scheduler: Scheduler,
  id: string,
  reply: FileReply,
): Promise<void> {
  const bound = await bindFiles(reply);
  const content = bound.map(({ slot, name, sha256 }) => ({ slot, name, sha256 }));
  const { interaction_id, idempotency_key, message } = reply;
  const paths = runPaths(context.dataDir, id);
  const receipt = context.newId();
  // Once they are stored they stay, also when the reply is not taken: its record may be on disk for all that.
  const tell = async (pending: PendingInteraction) => {
    checkSlots(pending, reply);
    try {
      return await storeFiles(paths, pending, receipt, bound, message);
    } catch (error) {
      const { absolute } = replyFolder(paths, interaction_id, receipt);
      await rm(absolute, { recursive: true, force: true }).catch(() => undefined);
      throw error;
    }
  };
  const told: Reply = { interaction_id, idempotency_key, response: message };
  await takeReply(context, scheduler, id, told, content, tell);
}

/**
 * Whether the job waits for such a reply: asked before a body is read.
 * @throws RunnerError JOB_NOT_INTERACTIVE, JOB_STATE_CONFLICT
 */
export async function assertAwaitsReply(context: RunContext, id: string): Promise<void> {
  const run = await context.store.get(id);
  // Under its idempotency key a reply that was taken may come again.
  if (run.replies.length === 0) pendingOf(run, run.pending?.interaction_id ?? 0);
}

async function bindFiles({ bindings, files }: FileReply): Promise<Bound[]> {
  const issues: Issue[] = [];
  const times = files.map((_, index) => bindings.filter(({ file_index }) => file_index === index).length);
  for (const [index, file] of files.entries()) {
    const pointer = `/files/${index}`;
    if (times[index] !== 1) issues.push({ pointer, message: "must be bound to exactly one slot" });
    if (file.bytes === 0) issues.push({ pointer, message: "must not be empty" });
  }
  for (const [index, { file_index }] of bindings.entries()) {
    if (files[file_index] === undefined) {
      issues.push({ pointer: `/metadata/bindings/${index}/file_index`, message: "names no file that came" });
    }
  }
  if (files.length === 0) issues.push({ pointer: "/files", message: "must hold at least one file" });
  refuse(issues);
  const bound: Bound[] = [];
  for (const { slot, file_index } of bindings) {
    const file = files[file_index];
    if (file === undefined) continue;
    const { path, name, bytes } = file;
    bound.push({ slot, name: name ?? slot, bytes, source: path, sha256: await sha256OfFile(path) });
  }
  return bound;
}

function checkSlots(pending: PendingInteraction, { bindings }: FileReply): void {
  const slots = slotsOf(pending);
  const known = slots.map(({ name }) => name);
  const issues: Issue[] = [];
  for (const [index, { slot }] of bindings.entries()) {
    const pointer = `/metadata/bindings/${index}/slot`;
    if (!known.includes(slot)) issues.push({ pointer, message: `must be one of: ${known.join(", ")}` });
  }
  for (const { name, required } of slots) {
    const missing = required && !bindings.some(({ slot }) => slot === name);
    if (missing) issues.push({ pointer: "/metadata/bindings", message: `the slot "${name}" needs a file` });
  }
  refuse(issues);
}

function refuse(issues: Issue[]): void {
  if (issues.length === 0) return;
  throw new RunnerError("REPLY_INVALID", "The files do not fit what the job asks for.", { issues });
}

async function storeFiles(
  paths: RunPaths,
  pending: PendingInteraction,
  receipt: string,
  bound: readonly Bound[],
  message: string | null,
): Promise<{ prompt: string; files: ReplyFile[] }> {
  const { absolute, relative } = replyFolder(paths, pending.interaction_id, receipt);
  dropLinks(paths.workspace, relative);
  await mkdir(absolute, { recursive: true });
  const stored: { slot: string; name: string; path: string; bytes: number; sha256: string }[] = [];
  for (const [index, { slot, name, bytes, source, sha256 }] of bound.entries()) {
    const file = `${index + 1}-${safeName(name)}`;
    await copyFile(source, join(absolute, file));
    stored.push({ slot, name, path: `${relative}/${file}`, bytes, sha256 });
  }
  const manifest = join(absolute, "manifest.json");
  await writeFile(manifest, JSON.stringify({ files: stored }, null, 2));
  await syncFiles([manifest, ...stored.map(({ path }) => join(paths.workspace, path))]);
  const lines = stored.map(({ slot, path }) => `- ${slot}: ${path}`);
  const prompt = `${message ?? "Here are the files."}\n\nFiles (paths relative to the current folder):\n${lines.join("\n")}\n`;
  return { prompt, files: stored.map(({ slot, name, bytes }) => ({ slot, name, bytes })) };
}

/** What a file may be called on disk and in a prompt: letters, digits, and its extension. */
function safeName(name: string): string {
  const extension = extname(name)
    .replaceAll(/[^A-Za-z0-9.]/g, "")
    .slice(0, 16);
  const stem = name
    .slice(0, name.length - extname(name).length)
    .replaceAll(/[^A-Za-z0-9_-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 64);
  return `${stem === "" ? "file" : stem}${extension}`;
}

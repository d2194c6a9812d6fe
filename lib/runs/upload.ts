import { createHash } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { extractZip } from "../archives/index.ts";
import { RunnerError } from "../errors.ts";
import { validateUploadedInput } from "../skills/index.ts";
import { syncFiles } from "../storage/index.ts";
import { answerFromCache } from "./cached-answer.ts";
import type { RunContext } from "./context.ts";
import { runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import type { Scheduler } from "./scheduler.ts";
import { type Accepted, assertAccepting, reserve } from "./submit.ts";

/** Caps on what an uploaded zip may unpack to. */
export interface UploadLimits {
  maxEntries: number;
  maxEntryBytes: number;
  maxTotalBytes: number;
  /** Inflated bytes per compressed byte. */
  maxRatio: number;
}

/**
 * Gives a job its files and queues it. The files become the job's in one rename, after every check: a refused upload
 * leaves the job as it was, so that the caller can send a better one.
 * @param zip absolute path of the received archive, on the same file system as the data directory
 * @throws RunnerError JOB_NOT_FOUND, JOB_STATE_CONFLICT, ARCHIVE_*, INPUT_INVALID, ENGINE_NOT_INSTALLED, QUEUE_FULL
 */
export async function acceptUpload(
  context: RunContext,
  scheduler: Scheduler,
  id: string,
  zip: string,
  limits: UploadLimits,
): Promise<Accepted & { extracted_files: string[] }> {
  assertAccepting(context);
  const run = await context.store.get(id);
  assertAwaitsUpload(run);
  const unpacked = `${zip}.files`;
  try {
    const files = await extractZip(zip, unpacked, limits);
    const skill = await context.skills.get(run.skill_id);
    const { issues, resolved } = validateUploadedInput(skill, run.input, files);
    if (issues.length > 0) {
      const located = issues.map((issue) => ({ ...issue, pointer: `/input${issue.pointer}` }));
      throw new RunnerError("INPUT_INVALID", "The uploaded files do not fit the skill's input schema.", {
        issues: located,
      });
    }
    const queued: RunRecord = {
      ...run,
      input: { ...run.input, ...resolved },
      uploads: await Promise.all(files.map((path) => describeFile(unpacked, path))),
      skill_hash: skill.hash,
    };
    const place = async () => {
      const { workspace, uploads } = runPaths(context.dataDir, id);
      await mkdir(workspace, { recursive: true });
      await rm(uploads, { recursive: true, force: true });
      await syncFiles(files.map((path) => join(unpacked, path)));
      await rename(unpacked, uploads);
      await syncFiles([uploads]);
    };
    const become = async (...step: Parameters<RunProgress["become"]>): Promise<RunRecord> => {
      const progress = await openRunProgress(context, queued);
      try {
        await progress.become(...step);
        return progress.run;
      } finally {
        await progress.close();
      }
    };
    const cached = await answerFromCache(context, queued);
    if (cached) {
      await place();
      await context.secrets.forget(id);
      await become("succeeded", "cache.hit", cached);
      return { request_id: id, cache_hit: true, status: "succeeded", extracted_files: files };
    }
    const reservation = await reserve(context, run.engine);
    try {
      await place();
      scheduler.start(await become("queued", "upload.accepted"), reservation);
    } catch (error) {
      reservation.release();
      throw error;
    }
    return { request_id: id, cache_hit: false, status: "queued", extracted_files: files };
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** @throws RunnerError JOB_STATE_CONFLICT unless the job waits for its files. */
export function assertAwaitsUpload(run: RunRecord): void {
  if (run.status === "created") return;
  const why = run.needs_upload ? `it is already ${run.status}` : "its skill takes no files";
  throw new RunnerError("JOB_STATE_CONFLICT", `The job takes no upload: ${why}.`);
}

async function describeFile(folder: string, path: string): Promise<RunRecord["uploads"][number]> {
  const file = await open(join(folder, path), "r");
  try {
    const hash = createHash("sha256");
    for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk);
    return { path, bytes: (await file.stat()).size, sha256: hash.digest("hex") };
  } finally {
    await file.close();
  }
}

import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { extractZip } from "../archives/index.ts";
import { RunnerError } from "../errors.ts";
import { readSkillFolder, unpackSkillPackage, validateUploadedInput } from "../skills/index.ts";
import { syncFiles } from "../storage/index.ts";
import { answerFromCache } from "./cached-answer.ts";
import { checkFit } from "./check-request.ts";
import type { RunContext } from "./context.ts";
import { tidied } from "./finish.ts";
import { runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import { packageOfRun } from "./run-skill.ts";
import type { Scheduler } from "./scheduler.ts";
import { sha256OfFile } from "./sha256.ts";
import { type Accepted, assertAccepting, describeSkill } from "./submit.ts";

/** Caps on what an uploaded zip may unpack to. */
export interface UploadLimits {
  maxEntries: number;
  maxEntryBytes: number;
  maxTotalBytes: number;
  /** Inflated bytes per compressed byte. */
  maxRatio: number;
}

/** The archives of an upload: absolute paths, on the same file system as the data directory. */
export interface UploadedArchives {
  /** Zip of the job's input files. */
  file: string | null;
  /** Zip of a temporary skill's package. */
  skill_package: string | null;
}

/** What an upload makes of a job, before anything of it is in its place. */
interface Received {
  run: RunRecord;
  env: Record<string, string> | undefined;
  /** Unpacked folders: where each lies, where it goes, its files below. */
  folders: { from: string; to: string; files: readonly string[] }[];
  extracted: string[];
}

/**
 * Gives a job its files, and a temporary skill's job its skill, and queues it. They become the job's in one rename each,
 * after every check: a refused upload leaves the job as it was, so that the caller can send a better one.
 * @throws RunnerError JOB_NOT_FOUND, JOB_STATE_CONFLICT, UPLOAD_INVALID, ARCHIVE_*, INPUT_INVALID, what `checkFit`
 *   throws, ENGINE_NOT_INSTALLED, QUEUE_FULL
 */
export async function acceptUpload(
  context: RunContext,
  scheduler: Scheduler,
  id: string,
  archives: UploadedArchives,
  limits: UploadLimits,
): Promise<Accepted & { extracted_files: string[] }> {
  assertAccepting(context);
  const stored = await context.store.get(id);
  assertAwaitsUpload(stored);
  const unpacked = `${archives.file ?? archives.skill_package}.unpacked`;
  try {
    await mkdir(unpacked);
    const { run, env, folders, extracted } = await receive(context, stored, archives, unpacked, limits);
    const place = async () => {
      for (const { from, to, files } of folders) await putInPlace(from, to, files);
    };
    const become = async (...step: Parameters<RunProgress["become"]>): Promise<RunRecord> => {
      const progress = await openRunProgress(context, run);
      try {
        await progress.become(...step);
        return progress.run;
      } finally {
        await progress.close();
      }
    };
    const cached = await answerFromCache(context, run);
    if (cached) {
      await place();
      const whenStored = () => tidied(context, id, context.secrets.forget(id));
      await become("succeeded", "cache.hit", cached, { whenStored });
      return { request_id: id, cache_hit: true, status: "succeeded", extracted_files: extracted };
    }
    const reservation = await scheduler.reserve(run);
    try {
      await place();
      if (env !== undefined) await context.secrets.keep(id, env);
      scheduler.start(await become("queued", "upload.accepted"), reservation);
    } catch (error) {
      reservation.release();
      throw error;
    }
    return { request_id: id, cache_hit: false, status: "queued", extracted_files: extracted };
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** Unpacks and checks; what it gives is not the job's yet. */
async function receive(
  context: RunContext,
  stored: RunRecord,
  archives: UploadedArchives,
  folder: string,
  limits: UploadLimits,
): Promise<Received> {
  const paths = runPaths(context.dataDir, stored.request_id);
  const brought = await receiveSkill(context, stored, archives, folder, limits);
  const skill = brought?.skill ?? (await context.skills.get(stored.skill_id));
  const base = brought?.run ?? stored;
  const from = join(folder, "files");
  const files = archives.file === null ? [] : await extractZip(archives.file, from, limits);
  const { issues, resolved } = validateUploadedInput(skill, base.input, files);
  if (issues.length > 0) {
    const located = issues.map((issue) => ({ ...issue, pointer: `/input${issue.pointer}` }));
    throw new RunnerError("INPUT_INVALID", "The uploaded files do not fit the skill's input schema.", {
      issues: located,
    });
  }
  const folders = files.length === 0 ? [] : [{ from, to: paths.uploads, files }];
  if (brought !== null) {
    folders.push({
      from: dirname(brought.skill.dir),
      to: dirname(packageOfRun(paths, skill.id)),
      files: skill.files.map((path) => `${skill.id}/${path}`),
    });
  }
  return {
    run: {
      ...base,
      ...describeSkill(skill),
      input: { ...base.input, ...resolved },
      uploads: await Promise.all(files.map((path) => describeFile(from, path))),
    },
    env: brought?.env,
    folders,
    extracted: files,
  };
}

/** The skill that an upload brings, checked against what the job asked for; null for a job of an installed one. */
async function receiveSkill(
  context: RunContext,
  run: RunRecord,
  archives: UploadedArchives,
  folder: string,
  limits: UploadLimits,
) {
  const temporary = run.skill_source === "temp_upload";
  if (temporary !== (archives.skill_package !== null)) {
    throw new RunnerError(
      "UPLOAD_INVALID",
      temporary
        ? 'The job runs a temporary skill: send its package as the multipart part "skill_package".'
        : 'The job runs an installed skill: leave out the part "skill_package".',
    );
  }
  if (archives.skill_package === null) {
    if (archives.file !== null) return null;
    throw new RunnerError("UPLOAD_INVALID", 'Send the zip as the multipart part "file".');
  }
  const { dir } = await unpackSkillPackage(archives.skill_package, join(folder, "skill"), (zip, target) =>
    extractZip(zip, target, limits, { keepExecutable: true }),
  );
  const skill = await readSkillFolder(dir, { engines: context.engines.ids });
  // Variables that were asked for were set apart when the job was made; they win over the skill's own.
  const asked = await context.secrets.read(run.request_id);
  const { env, ...options } = checkFit(context, skill, {
    ...run,
    runtime_options: run.requested_options ?? {},
  });
  return {
    skill,
    run: { ...run, runtime_options: options, requested_options: null },
    env: { ...env, ...asked },
  };
}

/** Moves an unpacked folder to its place, durably and whole. */
async function putInPlace(from: string, to: string, files: readonly string[]): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await rm(to, { recursive: true, force: true });
  await syncFiles(files.map((path) => join(from, path)));
  await rename(from, to);
  await syncFiles([to]);
}

/** @throws RunnerError JOB_STATE_CONFLICT unless the job waits for its files. */
export function assertAwaitsUpload(run: RunRecord): void {
  if (run.status === "created") return;
  const why = run.needs_upload ? `it is already ${run.status}` : "its skill takes no files";
  throw new RunnerError("JOB_STATE_CONFLICT", `The job takes no upload: ${why}.`);
}

async function describeFile(folder: string, path: string): Promise<RunRecord["uploads"][number]> {
  const absolute = join(folder, path);
  return { path, bytes: (await stat(absolute)).size, sha256: await sha256OfFile(absolute) };
}

import { mkdir, rm } from "node:fs/promises";
import { RunnerError } from "../../errors.ts";
import { asStorageFailure } from "../storage-failure.ts";
import { type ExtractZip, unpackSkillPackage } from "../unpack.ts";
import { checkPackage } from "./check-package.ts";
import { failureOf } from "./failure.ts";
import { type CheckedRecord, place, stagingOf } from "./place.ts";
import { type InstallRecord, newRecord, type SkillInstall, shown } from "./record.ts";
import { createInstallRecords, type Records } from "./records.ts";
import { recoverInstalls } from "./recover.ts";
import { createRequestFiles } from "./request-files.ts";
import { type Sync, syncTree } from "./sync-tree.ts";

/** Skill packages that are installed over HTTP: one after the other, watched while they are, kept when they have ended. */
export interface SkillInstalls {
  /** Before a body is received. @throws RunnerError SHUTTING_DOWN, QUEUE_FULL */
  assertAccepting(): void;
  /**
   * Queues a package. Once it resolves, the install survives a crash.
   * @param zip absolute path of the received archive, on the file system of `requestsDir`; it is moved away
   * @throws RunnerError SHUTTING_DOWN, QUEUE_FULL, STORAGE_FAILED
   */
  install(zip: string): Promise<SkillInstall>;
  /** @throws RunnerError SKILL_PACKAGE_INSTALL_NOT_FOUND */
  get(id: string): Promise<SkillInstall>;
  /** Brings what the last process left to an end, and takes up what waited. Call once, before jobs are taken up. */
  recover(): Promise<void>;
  /** Takes nothing new and waits for the install that is under way; those behind it wait for the next start. */
  stop(): Promise<void>;
}

/** The key of the lock that an installed skill is replaced under, and copied under. */
export const skillLock = (id: string): string => `skill:${id}`;

export interface SkillInstallsOptions {
  /** Absolute path of the skills folder. */
  root: string;
  /** Absolute path of the folder for zips that wait. */
  requestsDir: string;
  /** Engines this server has. */
  engines: readonly string[];
  records: Records;
  extract: ExtractZip;
  sync: Sync;
  /** Held with `skill:<id>` while a skill is replaced. */
  locked<T>(key: string, task: () => Promise<T>): Promise<T>;
  /** Called when a skill was replaced, with the lock still held. */
  onPlaced(id: string): Promise<unknown>;
  newId(): string;
  /** What no caller is told. */
  onError(error: unknown): void;
}

const mostWaiting = 20;
/** Milliseconds until an end that could not be stored is stored again. */
const againMs = 5_000;

export function createSkillInstalls(options: SkillInstallsOptions): SkillInstalls {
  const { root, engines, sync, onError } = options;
  const records = createInstallRecords(options.records);
  const requests = createRequestFiles(options.requestsDir, sync);
  const context = { root, engines, sync, save: records.save };
  /** Those that have not ended, or whose end could not be stored: here they are as they are now. */
  const held = new Map<string, InstallRecord>();
  /** Ends when the last of those that are queued has. */
  let line = Promise.resolve();
  let isStopped = false;
  let again: NodeJS.Timeout | undefined;

  function assertAccepting(): void {
    if (isStopped)
      throw new RunnerError(
        "SHUTTING_DOWN",
        "The server is shutting down. Send the package again in a moment.",
        {
          retryAfterSeconds: 5,
        },
      );
    const waiting = [...held.values()].filter((record) => !hasEnded(record)).length;
    if (waiting >= mostWaiting)
      throw new RunnerError("QUEUE_FULL", `${waiting} packages wait to be installed. Send it again later.`, {
        retryAfterSeconds: 10,
      });
  }

  function enqueue(record: InstallRecord): void {
    held.set(record.request_id, record);
    line = line.then(() => (isStopped ? undefined : carryOut(record)));
  }

  async function carryOut(record: InstallRecord): Promise<void> {
    try {
      record.status = "running";
      await records.save(record);
      const checked = await stage(record);
      await options.locked(skillLock(checked.skill_id), async () => {
        await place(context, checked);
        await options.onPlaced(checked.skill_id).catch(onError);
      });
      await end({ ...record, status: "succeeded" });
    } catch (error) {
      const failure = failureOf(error);
      if (failure.code === "INTERNAL" || failure.code === "STORAGE_FAILED") onError(error);
      await end({ ...record, status: "failed", error: failure });
    }
  }

  /** Unpacks and checks the package, and makes it durable where it can be renamed from. */
  async function stage(record: InstallRecord): Promise<CheckedRecord> {
    const staging = stagingOf(root, record.request_id);
    await mkdir(staging, { recursive: true }).catch((error: unknown) => {
      throw asStorageFailure(error, "The skills folder cannot be written to");
    });
    const { id, dir } = await unpackSkillPackage(
      requests.pathOf(record.request_id),
      staging,
      options.extract,
    );
    record.skill_id = id;
    const version = await checkPackage(dir, engines);
    record.version = version;
    await syncTree(dir, sync);
    // What they lie in may be new too.
    await sync([staging, stagingOf(root, "")]);
    return Object.assign(record, { skill_id: id, version });
  }

  async function end(ended: InstallRecord): Promise<void> {
    await storeLeftEnds();
    await storeEnd(ended).catch(later);
  }

  /** Ends that could not be stored are tried again with the next one, or after a while. */
  async function storeLeftEnds(): Promise<void> {
    for (const record of [...held.values()].filter(hasEnded)) await storeEnd(record).catch(later);
  }

  function later(error: unknown): void {
    onError(error);
    clearTimeout(again);
    again = isStopped ? undefined : setTimeout(storeLeftEnds, againMs).unref();
  }

  /** Stored before anything is cleaned up: what is staged tells a start after a crash how far the install came. */
  async function storeEnd(ended: InstallRecord): Promise<void> {
    try {
      await records.save(ended);
    } catch (error) {
      held.set(ended.request_id, ended);
      throw error;
    }
    // Nobody is told of the end before there is nothing left of it.
    await cleanUp(ended).finally(() => held.delete(ended.request_id));
    await records.forgetOldest();
  }

  async function cleanUp({ request_id, journal }: InstallRecord): Promise<void> {
    await requests.remove(request_id);
    if (journal === null) await rm(stagingOf(root, request_id), { recursive: true, force: true });
  }

  return {
    assertAccepting,
    async install(zip) {
      assertAccepting();
      const record = newRecord(options.newId());
      const id = record.request_id;
      // Taken before the first wait: of many requests at once, those too many are refused.
      held.set(id, record);
      try {
        await requests.take(id, zip);
        await records.save(record);
      } catch (error) {
        held.delete(id);
        await Promise.allSettled([records.remove(id), requests.remove(id)]);
        throw error;
      }
      const accepted = shown(record);
      enqueue(record);
      return accepted;
    },
    async get(id) {
      const record = held.get(id) ?? (await records.read(id));
      if (record !== null) return shown(record);
      throw new RunnerError("SKILL_PACKAGE_INSTALL_NOT_FOUND", `There is no install "${id}".`);
    },
    async recover() {
      const queued = await recoverInstalls({ ...context, records, requests, end, cleanUp, onError });
      for (const record of queued) enqueue(record);
    },
    async stop() {
      isStopped = true;
      await line;
    },
  };
}

function hasEnded({ status }: InstallRecord): boolean {
  return status === "succeeded" || status === "failed";
}

import { z } from "zod";
import { RunnerError } from "../../errors.ts";
import type { Engines } from "../engines.ts";
import type { Records } from "../records.ts";
import type { EngineManager } from "./manager.ts";
import { boundedText } from "./output.ts";

export const upgradeResult = z.object({
  status: z.enum(["queued", "running", "succeeded", "failed", "skipped"]),
  action: z.enum(["install", "upgrade"]).nullable(),
  from_version: z.string().nullable(),
  to_version: z.string().nullable(),
  exit_code: z.int().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  error: z.string().nullable(),
});

export const upgradeRecord = z.object({
  request_id: z.string(),
  mode: z.enum(["single", "all"]),
  requested_engine: z.string().nullable(),
  status: z.enum(["queued", "running", "succeeded", "failed"]),
  created_at: z.string(),
  updated_at: z.string(),
  results: z.record(z.string(), upgradeResult),
});
export type UpgradeRecord = z.infer<typeof upgradeRecord>;
type UpgradeResult = z.infer<typeof upgradeResult>;

export interface UpgradeRequest {
  mode: "single" | "all";
  engine?: string | undefined;
}

/** Upgrades asked for over HTTP: one at a time, watched while they run, kept when they have ended. */
export interface Upgrades {
  /** @throws RunnerError ENGINE_NOT_FOUND, ENGINE_NOT_INSTALLABLE, UPGRADE_IN_PROGRESS, SHUTTING_DOWN */
  request(wanted: UpgradeRequest): Promise<UpgradeRecord>;
  /** With what npm has said so far. @throws RunnerError UPGRADE_NOT_FOUND */
  get(id: string): Promise<UpgradeRecord>;
  /** Ends npm; the upgrade has failed. */
  stop(): Promise<void>;
}

export interface UpgradesOptions {
  engines: Pick<Engines, "get">;
  manager: Pick<EngineManager, "check" | "installable" | "whyNotInstallable" | "upgrade">;
  records: Records;
  newId(): string;
  /** Takes host paths and credentials out of what npm says. */
  clean(text: string): string;
  onError(error: unknown): void;
}

const keptUpgrades = 50;
const interrupted =
  "The server stopped before it was done. What was installed before is untouched; ask again.";

export function createUpgrades(options: UpgradesOptions): Upgrades {
  const { engines, manager, records, clean } = options;
  const keyOf = (id: string) => `upgrades:${id}`;
  let current: { record: UpgradeRecord; done: Promise<void> } | null = null;
  const stopped = new AbortController();
  /** Upgrades that have ended and whose end could not be written: their records tell less than is known here. */
  const unsaved = new Map<string, UpgradeRecord>();

  const save = async (record: UpgradeRecord) => {
    record.updated_at = new Date().toISOString();
    await records.write(keyOf(record.request_id), record);
  };
  const saveEnd = async (record: UpgradeRecord) => {
    unsaved.set(record.request_id, record);
    for (const id of [...unsaved.keys()].slice(0, -keptUpgrades)) unsaved.delete(id);
    await save(record);
    unsaved.delete(record.request_id);
  };
  const saveLate = async () => {
    for (const [id, record] of unsaved) {
      const isSaved = await records.write(keyOf(id), record).then(
        () => true,
        () => false,
      );
      if (isSaved) unsaved.delete(id);
    }
  };
  const carryOut = async (record: UpgradeRecord) => {
    record.status = "running";
    await saveLate();
    for (const [engine, result] of Object.entries(record.results)) {
      if (stopped.signal.aborted) Object.assign(result, { status: "failed", error: interrupted });
      else await upgradeOne(engine, result, record);
      await save(record).catch(options.onError);
    }
    if (!stopped.signal.aborted) await manager.check().catch(options.onError);
    await forgetOldest().catch(options.onError);
    const failed = Object.values(record.results).some(({ status }) => status === "failed");
    await saveEnd({ ...record, status: failed ? "failed" : "succeeded" });
  };
  const upgradeOne = async (engine: string, result: UpgradeResult, record: UpgradeRecord) => {
    result.status = "running";
    const texts = { stdout: boundedText(), stderr: boundedText() };
    const add = (stream: "stdout" | "stderr", text: string) => {
      texts[stream].add(text);
      result[stream] = clean(texts[stream].text());
      record.updated_at = new Date().toISOString();
    };
    const outcome = await manager.upgrade(engine, {
      signal: stopped.signal,
      onBegin: (begun) => Object.assign(result, begun),
      onOutput: add,
      onWait: () => add("stderr", "waiting for another install into the same npm prefix ...\n"),
    });
    const { engine: _, error, ...told } = outcome;
    Object.assign(result, told, { error: error !== null && stopped.signal.aborted ? interrupted : error });
  };
  const forgetOldest = async () => {
    const ids = await records.children("upgrades");
    for (const id of ids.slice(0, -keptUpgrades)) await records.remove(keyOf(id));
  };
  return {
    async request({ mode, engine }) {
      const chosen = mode === "all" ? manager.installable() : [assertInstallable(engine ?? "")];
      if (stopped.signal.aborted) throw new RunnerError("SHUTTING_DOWN", "The server is shutting down.");
      if (current !== null)
        throw new RunnerError(
          "UPGRADE_IN_PROGRESS",
          `An upgrade is under way: ${current.record.request_id}. Wait for its end.`,
          { retryAfterSeconds: 10 },
        );
      const now = new Date().toISOString();
      const record: UpgradeRecord = {
        request_id: options.newId(),
        mode,
        requested_engine: engine ?? null,
        status: "queued",
        created_at: now,
        updated_at: now,
        results: Object.fromEntries(chosen.map((id) => [id, untouched()])),
      };
      // Taken before the first wait: of two requests at once, one is refused.
      const entry = { record, done: Promise.resolve() };
      current = entry;
      try {
        await save(record);
      } catch (error) {
        current = null;
        throw error;
      }
      const accepted = structuredClone(record);
      entry.done = carryOut(record)
        .catch(options.onError)
        .finally(() => {
          current = null;
        });
      return accepted;
    },
    async get(id) {
      if (current?.record.request_id === id) return structuredClone(current.record);
      const ended = unsaved.get(id);
      if (ended !== undefined) {
        await saveLate();
        return structuredClone(ended);
      }
      const stored = upgradeRecord.safeParse(isId(id) ? await records.read(keyOf(id)) : null);
      if (stored.success) return isOpen(stored.data.status) ? cutShort(stored.data) : stored.data;
      throw new RunnerError("UPGRADE_NOT_FOUND", `There is no upgrade "${id}".`);
    },
    async stop() {
      stopped.abort();
      await current?.done;
      await saveLate();
    },
  };

  function assertInstallable(engine: string): string {
    engines.get(engine);
    const reason = manager.whyNotInstallable(engine);
    if (reason === null) return engine;
    throw new RunnerError("ENGINE_NOT_INSTALLABLE", `${engine} cannot be installed: ${reason}`);
  }
}

function untouched(): UpgradeResult {
  return {
    status: "queued",
    action: null,
    from_version: null,
    to_version: null,
    exit_code: null,
    stdout: "",
    stderr: "",
    error: null,
  };
}

/** Unfinished, and nobody is at it: the process that was has ended. */
function cutShort(record: UpgradeRecord): UpgradeRecord {
  const results = Object.entries(record.results).map(([engine, result]) => [
    engine,
    isOpen(result.status) ? { ...result, status: "failed" as const, error: interrupted } : result,
  ]);
  return { ...record, status: "failed", results: Object.fromEntries(results) };
}

function isOpen(status: string): boolean {
  return status === "queued" || status === "running";
}

function isId(text: string): boolean {
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(text);
}

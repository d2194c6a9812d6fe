import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { monotonicFactory } from "ulid";
import { agents, createEngines, createInstallationFinder, sandboxIntent } from "../lib/agents/index.ts";
import { createCapacity, probeCapacity } from "../lib/capacity/index.ts";
import {
  createKeyedLock,
  createResultCache,
  createRunSecrets,
  createRunStore,
  createRuns,
  type Log,
} from "../lib/runs/index.ts";
import { createSkillRegistry, createValidators } from "../lib/skills/index.ts";
import { openRecordStore } from "../lib/storage/index.ts";
import type { Config } from "./config.ts";
import { lockDataDir } from "./data-dir-lock.ts";
import type { Services } from "./function.ts";

export interface RunningServices extends Services {
  /** Takes up what the last process left, and starts the timers. Call once, before listening. */
  start(): Promise<void>;
  /** Refuses new work, lets runs go on for the grace time, then ends them. */
  stop(): Promise<void>;
}

export interface ServicesOptions {
  config: Config;
  /** The server's environment: agents get an allow list of it. */
  environment: Readonly<Record<string, string | undefined>>;
  log: Log;
  openApiDocument(): Promise<object>;
}

const firstCleanupMs = 60_000;

/** Builds every part once and wires them to each other. Nothing else in the project does. */
export async function createServices({
  config,
  environment,
  log,
  openApiDocument,
}: ServicesOptions): Promise<RunningServices> {
  await mkdir(config.dataDir, { recursive: true });
  const unlock = await lockDataDir(config.dataDir);
  const incoming = join(config.dataDir, "incoming");
  const records = openRecordStore(config.storage, join(config.dataDir, "state"));
  const finder = createInstallationFinder(config.npmPrefix, environment);
  const sandbox = sandboxIntent(config.landlockEnabled);
  const engines = createEngines({ agents, finder, sandbox, environment });
  const skills = createSkillRegistry({ root: config.skillsDir, engines: engines.ids });
  const capacity = createCapacity({ settings: config.capacity, probe: () => probeCapacity() });
  let state: "starting" | "ready" | "stopping" = "starting";
  const runs = createRuns({
    dataDir: config.dataDir,
    npmPrefix: config.npmPrefix,
    serverEnvironment: environment,
    settings: config.runs,
    sandbox,
    asRoot: process.getuid?.() === 0,
    store: createRunStore(records),
    cache: createResultCache(records),
    secrets: createRunSecrets(config.dataDir),
    skills,
    validators: createValidators(),
    engines,
    gate: capacity.gate,
    locked: createKeyedLock(),
    newId: monotonicFactory(),
    accepting: () => state !== "stopping",
    log,
  });
  let cleanup: NodeJS.Timeout | undefined;
  let firstCleanup: NodeJS.Timeout | undefined;
  const dropExpired = () =>
    runs
      .dropExpired()
      .catch((error: unknown) => log.error({ err: error }, "jobs past their retention could not be removed"));

  return {
    skills,
    engines,
    runs,
    capacity,
    openApiDocument,
    limits: {
      maxBodyBytes: config.maxBodyBytes,
      maxUploadBytes: config.maxUploadBytes,
      upload: config.uploadLimits,
    },
    async temporaryFolder() {
      await mkdir(incoming, { recursive: true });
      return mkdtemp(join(incoming, "body-"));
    },
    ready: () => ({ ready: state === "ready", reason: state === "ready" ? null : state }),
    async start() {
      // Bodies that a crash cut off belong to nobody.
      await rm(incoming, { recursive: true, force: true });
      await capacity.start();
      await runs.recover();
      // Not before the first answer: a server that is restarted often must clean up too, but nobody waits for it.
      firstCleanup = setTimeout(dropExpired, firstCleanupMs);
      firstCleanup.unref();
      cleanup = setInterval(dropExpired, config.cleanupIntervalHours * 3_600_000);
      cleanup.unref();
      state = "ready";
    },
    async stop() {
      state = "stopping";
      clearTimeout(firstCleanup);
      clearInterval(cleanup);
      await runs.shutdown(config.shutdownGraceSeconds * 1000);
      capacity.stop();
      await records.close();
      await unlock();
    },
  };
}

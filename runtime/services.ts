import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { monotonicFactory } from "ulid";
import {
  type Agent,
  createUpgrades,
  dropImportLeftovers,
  dropProbeLeftovers,
  type EngineStatus,
  sandboxIntent,
} from "../lib/agents/index.ts";
import { extractZip } from "../lib/archives/index.ts";
import { createCapacity, createEstimates, probeCapacity } from "../lib/capacity/index.ts";
import { type OpenQueue, openQueue } from "../lib/queue/index.ts";
import {
  createEventFeeds,
  createIdempotency,
  createKeyedLock,
  createResultCache,
  createRunFolders,
  createRunSecrets,
  createRunStore,
  createRuns,
  createSharedRunSecrets,
  createSharedRunStore,
  createStopRequests,
  createUsageSampler,
  type Log,
  type RunContext,
} from "../lib/runs/index.ts";
import { createSkillInstalls, createSkillRegistry, createValidators } from "../lib/skills/index.ts";
import { openStorage, scopedRecords, syncFiles } from "../lib/storage/index.ts";
import type { Config } from "./config.ts";
import { assertLimitsKnown, createEngineParts, loadAgents } from "./engines.ts";
import { foreignFolders } from "./foreign-folders.ts";
import type { Services } from "./function.ts";
import { nodeIdOf } from "./node-id.ts";
import { lockPlaces } from "./place-locks.ts";

export interface RunningServices extends Services {
  /** Takes up what the last process left, and starts the timers. Call once. */
  start(): Promise<void>;
  /** What there is of every engine; written to agent_status.json too. */
  checkEngines(): Promise<EngineStatus[]>;
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
  const agents = await loadAgents(config);
  assertLimitsKnown(config, agents);
  await mkdir(config.dataDir, { recursive: true });
  const unlock = await lockPlaces(config.dataDir, [config.storage], (message) => log.warn({}, message));
  const incoming = join(config.dataDir, "incoming");
  const { records, isShared, advice } = await openStorage(config.storage, config.dataDir).catch(
    async (error: unknown) => {
      await unlock();
      throw error;
    },
  );
  for (const sentence of advice) log.warn({}, sentence);
  const node = config.queue === null ? null : await nodeIdOf(config.dataDir);
  const shared = await openShared(config, { node, isShared, engines: agents.map(({ id }) => id), log }).catch(
    async (error: unknown) => {
      await records.close();
      await unlock();
      throw error;
    },
  );
  // What is one server's alone: its installs and upgrades are not another's to take up.
  const ownRecords = node === null ? records : scopedRecords(records, `nodes:${node}`);
  const { engines, manager, jail, clean } = createEngineParts({
    config,
    agents,
    environment,
    records,
    recall: true,
  });
  const newId = monotonicFactory();
  const upgrades = createUpgrades({
    engines,
    manager,
    records: ownRecords,
    newId,
    clean,
    onError: (error) => log.error({ err: error }, "an upgrade of the engines could not be noted down"),
  });
  const skills = createSkillRegistry({ root: config.skillsDir, engines: engines.ids });
  const locked = createKeyedLock();
  const skillPackages = createSkillInstalls({
    root: config.skillsDir,
    requestsDir: join(config.dataDir, "skill_installs"),
    engines: engines.ids,
    records: ownRecords,
    extract: (zip, dir) => extractZip(zip, dir, config.uploadLimits, { keepExecutable: true }),
    sync: syncFiles,
    locked,
    // Jobs may use a reading that is half a second old: this one is newer.
    onPlaced: (id) => skills.get(id),
    newId,
    onError: (error) => log.error({ err: error }, "a skill package could not be installed"),
  });
  const estimates = createEstimates({
    settings: config.capacity,
    builtIn: Object.fromEntries(agents.map(({ id, estimate }) => [id, needOf(estimate)])),
    store: records,
  });
  const capacity = createCapacity({
    settings: config.capacity,
    limits: config.limits,
    estimates,
    probe: () => probeCapacity(),
  });
  let state: "starting" | "ready" | "stopping" = "starting";
  const runContext: RunContext = {
    dataDir: config.dataDir,
    node,
    npmPrefix: config.npmPrefix,
    serverEnvironment: environment,
    settings: config.runs,
    sandbox: sandboxIntent(config.landlockEnabled),
    jail,
    asRoot: process.getuid?.() === 0,
    store: shared === null ? createRunStore(records) : createSharedRunStore(records, shared.channel),
    cache: createResultCache(records),
    feeds: createEventFeeds(shared ?? undefined),
    folders: createRunFolders({
      dataDir: config.dataDir,
      environment,
      records,
      isShared,
      log,
      ...(shared === null ? {} : { live: shared.live }),
    }),
    secrets: (shared === null ? createRunSecrets : createSharedRunSecrets)(config.dataDir, records),
    idempotency: createIdempotency({ records, isShared: shared !== null, locked: createKeyedLock(), newId }),
    skills,
    validators: createValidators(),
    engines,
    gate: capacity.gate,
    estimates,
    sampler: createUsageSampler(),
    locked,
    newId,
    accepting: () => state !== "stopping",
    log,
  };
  const runs = createRuns(
    runContext,
    shared === null
      ? undefined
      : {
          ...shared,
          stops: createStopRequests(records),
          maxQueueSize: config.capacity.maxQueueSize,
          everyMs: config.leaseMs,
          awayMs: config.leaseMs * 2,
        },
  );
  let cleanup: NodeJS.Timeout | undefined;
  let firstCleanup: NodeJS.Timeout | undefined;
  const dropExpired = () =>
    runs
      .dropExpired()
      .catch((error: unknown) => log.error({ err: error }, "jobs past their retention could not be removed"));

  return {
    skills,
    skillPackages,
    engines,
    upgrades,
    runs,
    capacity,
    openApiDocument,
    limits: {
      maxBodyBytes: config.maxBodyBytes,
      maxUploadBytes: config.maxUploadBytes,
      tempSkillPackageBytes: config.tempSkillPackageBytes,
      upload: config.uploadLimits,
      replyFiles: config.replyFileLimits,
    },
    async inTemporaryFolder(use) {
      await mkdir(incoming, { recursive: true });
      const dir = await mkdtemp(join(incoming, "body-"));
      try {
        return await use(dir);
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
    async checkEngines() {
      const statuses = await engines.statuses();
      // A data directory that cannot be written shows in every job too; what is installed can be told without.
      await manager
        .check()
        .catch((error: unknown) => log.warn({ err: error }, "agent_status.json not written"));
      return statuses;
    },
    ready: () => ({ ready: state === "ready", reason: state === "ready" ? null : state }),
    async start() {
      for (const folder of await foreignFolders(config.dataDir))
        log.error({ folder }, "this user cannot write there, and jobs will be refused: chown -R it");
      // Bodies that a crash cut off belong to nobody.
      await rm(incoming, { recursive: true, force: true });
      await Promise.all([dropImportLeftovers(agents, environment), dropProbeLeftovers(config.dataDir)]);
      await estimates.load();
      await capacity.start();
      // Before the jobs: one of them may wait for a skill that is between two versions.
      await skillPackages.recover();
      await runs.recover();
      // Not before the first answer: a server that is restarted often must clean up too, but nobody waits for it.
      firstCleanup = setTimeout(dropExpired, firstCleanupMs);
      firstCleanup.unref();
      cleanup = setInterval(dropExpired, config.cleanupIntervalHours * 3_600_000);
      cleanup.unref();
      // It may have been told to stop meanwhile.
      if (state === "starting") state = "ready";
    },
    async stop() {
      state = "stopping";
      clearTimeout(firstCleanup);
      clearInterval(cleanup);
      await Promise.all([
        runs.shutdown(config.shutdownGraceSeconds * 1000),
        upgrades.stop(),
        skillPackages.stop(),
      ]);
      capacity.stop();
      await shared?.close();
      await records.close();
      await unlock();
    },
  };
}

/** What is shared with other servers beside the storage, if anything is. @throws Error when the storage is not shared, or Redis is silent */
async function openShared(
  { queue, limits, leaseMs }: Config,
  { node, isShared, ...parts }: { node: string | null; isShared: boolean; engines: string[]; log: Log },
): Promise<OpenQueue | null> {
  if (queue === null || node === null) return null;
  if (!isShared)
    throw new Error(
      "The storage is this server's alone: with SKILL_RUNNER_QUEUE_URL, set SKILL_RUNNER_STORAGE to one that all servers share (redis://, postgres://, s3://).",
    );
  return openQueue({ ...queue, node, limits, leaseMs, ...parts });
}

/** An adapter's words for what a run needs, in capacity's. */
function needOf({ memoryMiB, processes, descriptors }: Agent["estimate"]) {
  return { memory_mib: memoryMiB, pids: processes, fds: descriptors };
}

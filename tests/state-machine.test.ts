import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ulid } from "ulid";
import { describe, expect, test } from "vitest";
import { agents } from "../lib/agents/index.ts";
import type { RunContext } from "../lib/runs/context.ts";
import { createEventFeeds } from "../lib/runs/event-feed.ts";
import { createKeyedLock } from "../lib/runs/keyed-lock.ts";
import { runPaths } from "../lib/runs/paths.ts";
import { readEvents } from "../lib/runs/read-events.ts";
import { localFolders, recordOf } from "../lib/runs/record.test-support.ts";
import type { RunRecord } from "../lib/runs/record.ts";
import { createRecovery } from "../lib/runs/recovery.ts";
import { createResultCache } from "../lib/runs/result-cache.ts";
import { openRunProgress, type RunProgress } from "../lib/runs/run-progress.ts";
import { createRunSecrets } from "../lib/runs/run-secrets.ts";
import { createRunStore, type RunStore } from "../lib/runs/run-store.ts";
import type { Scheduler } from "../lib/runs/scheduler.ts";
import { isTerminal, mayBecome, type RunStatus, runStatus } from "../lib/runs/transitions.ts";
import type { Waiting } from "../lib/runs/waiting.ts";
import { createRecordStore, memoryDriver, type RecordStore } from "../lib/storage/index.ts";

/** SEED=<seed> RUNS=<count> plays a failing case again, or more of them; fast-check prints seed and path. */
const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };
const numRuns = Number(process.env.RUNS ?? 150);
const statuses = runStatus.options;
const maxRestarts = 2;

describe("the table of states", () => {
  const next = (from: RunStatus) => statuses.filter((to) => mayBecome(from, to));
  const reachable = (from: RunStatus): Set<RunStatus> => {
    const seen = new Set<RunStatus>([from]);
    for (const at of seen) for (const to of next(at)) seen.add(to);
    return seen;
  };

  test("has no way out of an end, and from everywhere a way to one", () => {
    for (const status of statuses) {
      expect(isTerminal(status)).toBe(next(status).length === 0);
      expect([...reachable(status)].some(isTerminal)).toBe(true);
    }
  });

  test("reaches every state from the two a job begins in", () => {
    expect(new Set([...reachable("created"), ...reachable("queued")])).toEqual(new Set(statuses));
  });
});

/** What a run must be by now. */
interface Model {
  status: RunStatus;
  /** The agent of the present attempt was heard to work. */
  worked: boolean;
  session: string | null;
  crashes: number;
  /** Steps that the log must tell, as [from, to]. */
  told: [RunStatus, RunStatus][];
}

/** A server's storage and its one run in hand. */
interface Real {
  dataDir: string;
  id: string;
  records: RecordStore;
  store: RunStore;
  progress: RunProgress;
  admitted: RunRecord[];
}

const feeds = createEventFeeds();
const quiet = { accepting: () => false, log: { info() {}, warn() {}, error() {} } };
const codex = agents.find(({ id }) => id === "codex");

async function open(real: Real, store: RunStore = real.store): Promise<void> {
  real.progress = await openRunProgress(
    { store, feeds, folders: localFolders(real.dataDir), ...quiet },
    await real.store.get(real.id),
  );
}

/** The server dies, and starts again: memory is lost, the disk is not. */
async function restart(model: Model, real: Real): Promise<void> {
  await real.progress.close();
  real.store = createRunStore(real.records);
  real.admitted = [];
  const context = {
    dataDir: real.dataDir,
    gate: { hold: () => () => undefined },
    store: real.store,
    feeds,
    cache: createResultCache(real.records),
    folders: localFolders(real.dataDir),
    secrets: createRunSecrets(real.dataDir, real.records),
    engines: { ids: ["codex"], get: () => codex },
    locked: createKeyedLock(),
    settings: { maxRestarts },
    ...quiet,
  } as unknown as RunContext;
  const scheduler = { admit: (run: RunRecord) => void real.admitted.push(run) } as unknown as Scheduler;
  const waiting: Waiting = { watch() {}, stop() {} };
  await createRecovery(context, scheduler, waiting).recover();
  const was = model.status;
  if (was === "running") {
    model.crashes += 1;
    const goesOn = model.crashes <= maxRestarts && (!model.worked || model.session !== null);
    become(model, goesOn ? "queued" : "failed");
  }
  expect(real.admitted.map(({ request_id }) => request_id)).toEqual(
    model.status === "queued" ? [real.id] : [],
  );
  const [queued] = real.admitted;
  if (was === "running" && model.worked && queued) {
    expect(queued.resume).toMatchObject({ cause: "restart", session_id: model.session });
  }
  await open(real);
  await check(model, real);
}

function become(model: Model, to: RunStatus): void {
  model.told.push([model.status, to]);
  model.status = to;
  if (to === "running") model.worked = false;
}

async function check(model: Model, real: Real): Promise<void> {
  const run = await real.store.get(real.id);
  expect(run.status).toBe(model.status);
  const { events } = await readEvents(runPaths(real.dataDir, real.id).events, { limit: 10_000 });
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
  const steps = events.filter(({ type }) => type === "conversation.state.changed");
  expect(steps.map(({ data }) => [data.from, data.to])).toEqual(model.told);
  expect(steps.filter(({ data }) => data.terminal !== undefined)).toHaveLength(
    isTerminal(model.status) ? 1 : 0,
  );
  const unfinished = await real.store.unfinished();
  expect(unfinished).toEqual(isTerminal(model.status) ? [] : [real.id]);
}

const die = () => Promise.reject(new Error("kill -9"));
/** At which moment of a step the server dies. The step to running is not stored: it is told, or it is not. */
const moments = ["before it is stored", "before it is told"] as const;

class Step implements fc.AsyncCommand<Model, Real> {
  readonly to: RunStatus;
  constructor(to: RunStatus) {
    this.to = to;
  }
  check = () => true;
  toString = () => `step to ${this.to}`;
  async run(model: Model, real: Real): Promise<void> {
    const step = real.progress.become(this.to, "test", { attempt: 1 });
    if (mayBecome(model.status, this.to)) {
      await step;
      become(model, this.to);
    } else await expect(step).rejects.toMatchObject({ code: "JOB_STATE_CONFLICT" });
    await check(model, real);
  }
}

class Work implements fc.AsyncCommand<Model, Real> {
  readonly session: string | null;
  constructor(session: string | null) {
    this.session = session;
  }
  check = ({ status }: Readonly<Model>) => status === "running";
  toString = () => `work in session ${this.session}`;
  async run(model: Model, real: Real): Promise<void> {
    real.progress.tell({ type: "assistant.reasoning", data: { text: "hm" } });
    real.progress.note({ session_id: this.session });
    real.progress.jot();
    model.worked = true;
    model.session = this.session;
  }
}

class Crash implements fc.AsyncCommand<Model, Real> {
  check = () => true;
  toString = () => "crash";
  run = (model: Model, real: Real) => restart(model, real);
}

class CrashInStep implements fc.AsyncCommand<Model, Real> {
  readonly to: RunStatus;
  readonly moment: (typeof moments)[number];
  constructor(to: RunStatus, moment: (typeof moments)[number]) {
    this.to = to;
    this.moment = moment;
  }
  check = ({ status }: Readonly<Model>) => mayBecome(status, this.to) && this.to !== "running";
  toString = () => `crash in the step to ${this.to}, ${this.moment}`;
  async run(model: Model, real: Real): Promise<void> {
    const stored = this.moment === "before it is told";
    const mortal: RunStore = {
      ...real.store,
      write: async (run) => {
        if (stored) await real.store.write(run);
        return die();
      },
    };
    await real.progress.close();
    await open(real, mortal);
    await expect(real.progress.become(this.to, "test", {})).rejects.toThrow("kill -9");
    if (stored) become(model, this.to);
    await restart(model, real);
  }
}

test("whatever steps a run takes and wherever the server dies, record and log agree, and nothing is told twice", async () => {
  const status = fc.constantFrom(...statuses);
  const commands = fc.commands(
    [
      status.map((to) => new Step(to)),
      fc.constantFrom<RunStatus>("running", "queued", "waiting_user").map((to) => new Step(to)),
      fc.constantFrom("thread", null).map((session) => new Work(session)),
      fc.constant(new Crash()),
      fc.tuple(status, fc.constantFrom(...moments)).map(([to, moment]) => new CrashInStep(to, moment)),
    ],
    { maxCommands: 25 },
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom<RunStatus>("created", "queued"), commands, async (first, steps) => {
      const dataDir = await mkdtemp(join(tmpdir(), "states-"));
      const opened: Real[] = [];
      try {
        await fc.asyncModelRun(async () => {
          const records = createRecordStore(memoryDriver());
          const store = createRunStore(records);
          const run = { ...recordOf(first, ulid()), needs_upload: first === "created" };
          await store.create(run);
          const progress = await openRunProgress(
            { store, feeds, folders: localFolders(dataDir), ...quiet },
            run,
          );
          const real: Real = { dataDir, id: run.request_id, records, store, progress, admitted: [] };
          opened.push(real);
          return { model: { status: first, worked: false, session: null, crashes: 0, told: [] }, real };
        }, steps);
      } finally {
        await Promise.all(opened.map((real) => real.progress.close()));
        await rm(dataDir, { recursive: true, force: true });
      }
    }),
    { numRuns, ...seed },
  );
}, 120_000);

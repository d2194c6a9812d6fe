import { expect } from "vitest";
import { agents } from "../../lib/agents/index.ts";
import type { RunContext } from "../../lib/runs/context.ts";
import { createKeyedLock } from "../../lib/runs/keyed-lock.ts";
import { localFolders, question } from "../../lib/runs/record.test-support.ts";
import type { RunRecord } from "../../lib/runs/record.ts";
import { createRecovery } from "../../lib/runs/recovery.ts";
import { createResultCache } from "../../lib/runs/result-cache.ts";
import { openRunProgress, type RunProgress } from "../../lib/runs/run-progress.ts";
import { createRunSecrets } from "../../lib/runs/run-secrets.ts";
import { createRunStore } from "../../lib/runs/run-store.ts";
import type { Scheduler } from "../../lib/runs/scheduler.ts";
import { mayBecome, type RunStatus } from "../../lib/runs/transitions.ts";
import type { Waiting } from "../../lib/runs/waiting.ts";
import { createRecordStore, onOneProcess } from "../../lib/storage/index.ts";
import type { MortalDisk } from "./mortal-disk.ts";

/** What a server does with the run that it has in hand. `become` tries any state, legal or not. */
export interface Act {
  kind: "become" | "note" | "jot" | "tell" | "amend" | "reopen";
  to: RunStatus;
}

/** A step that was reported as done, and how far the disk was by then. */
export interface Done {
  to: RunStatus;
  revision: number;
  writes: number;
  logBytes: number;
}

const codex = agents.find(({ id }) => id === "codex");

/** One process: takes the run up as recovery says, and does these things with it. */
export async function live(disk: MortalDisk, dataDir: string, id: string, acts: readonly Act[]) {
  const records = createRecordStore(onOneProcess(disk.driver()));
  const store = createRunStore(records);
  // Recovery needs these parts and no other.
  const context = {
    dataDir,
    gate: { hold: () => () => undefined },
    store,
    cache: createResultCache(records),
    folders: localFolders(dataDir),
    secrets: createRunSecrets(dataDir, records),
    engines: { ids: ["codex"], get: () => codex },
    locked: createKeyedLock(),
    feeds: { claim: async () => () => undefined, publish() {}, dismiss() {} },
    settings: { maxRestarts: 2 },
    // What cannot be taken up is not tried again: the next life does that.
    accepting: () => false,
    log: { info() {}, warn() {}, error() {} },
  } as unknown as RunContext;
  const taken: RunRecord[] = [];
  const scheduler = {
    admit: (run: RunRecord) => void taken.push(run),
    released: async () => {},
  } as unknown as Scheduler;
  const waiting: Waiting = { watch: (run) => void taken.push(run), stop() {} };
  await createRecovery(context, scheduler, waiting).recover();
  const stored = await store.get(id);
  const done: Done[] = [];
  const run = taken[0] ?? (stored.status === "created" ? stored : null);
  if (run !== null && acts.length > 0) await act(context, disk, run, acts, done);
  return { done, run: await store.get(id), taken: taken.length };
}

async function act(
  context: RunContext,
  disk: MortalDisk,
  run: RunRecord,
  acts: readonly Act[],
  done: Done[],
): Promise<void> {
  let progress = await openRunProgress(context, run);
  for (const { kind, to } of acts) {
    const { status } = progress.run;
    if (kind === "become" && (await become(progress, to))) {
      const { revision } = progress.run;
      done.push({ to, revision, writes: disk.writes, logBytes: disk.logBytes });
    }
    if (kind === "note") progress.note({ session_id: "thread" });
    if (kind === "jot" && status === "running") progress.jot();
    if (kind === "tell" && status === "running") progress.tell(said);
    if (kind === "amend" && status === "waiting_auth") {
      await progress.amend({ recovery_reason: "amended" }, said).catch(() => undefined);
    }
    if (kind === "reopen") {
      const { run: latest } = progress;
      await progress.close().catch(() => undefined);
      progress = await openRunProgress(context, latest);
    }
  }
  await progress.close().catch(() => undefined);
  // What was jotted down is written by then.
  await new Promise((resolve) => setImmediate(resolve));
}

/** Tries until the disk lets it. @returns whether the machine has such a step */
async function become(progress: RunProgress, to: RunStatus): Promise<boolean> {
  const before = progress.run;
  if (!mayBecome(before.status, to)) {
    await expect(progress.become(to, "illegal")).rejects.toMatchObject({ code: "JOB_STATE_CONFLICT" });
    expect(progress.run).toBe(before);
    return false;
  }
  const [trigger, fields] = stepTo(before, to);
  for (;;) {
    try {
      await progress.become(to, trigger, fields);
      expect(progress.run).toMatchObject({ status: to, revision: before.revision + 1 });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(STORAGE_FAILED|ENOSPC)$/) });
    }
  }
}

/** A trigger and fields as the server gives them for a step. */
function stepTo(run: RunRecord, to: RunStatus): [trigger: string, fields: Partial<RunRecord>] {
  const interaction_id = run.interaction_count + 1;
  if (to === "running") return ["turn.started", { attempt: run.attempt + 1 }];
  if (to === "waiting_user") {
    return [
      "turn.needs_input",
      { pending: { ...question, interaction_id }, interaction_count: interaction_id, resume: null },
    ];
  }
  if (to === "queued" && run.status === "waiting_user") {
    const reply = { interaction_id: run.interaction_count, response: "red", files: [] };
    const resume = { cause: "reply" as const, session_id: "thread", prompt: "red", reply, auth: null };
    return ["interaction.reply.accepted", { pending: null, resume }];
  }
  if (to === "failed") return ["turn.failed", { error: { code: "AGENT_FAILED", message: "It failed." } }];
  return [`to.${to}`, { pending: null }];
}

const said = { type: "assistant.message.final" as const, data: { text: "é".repeat(20) } };

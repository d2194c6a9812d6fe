import { decodeTime, ulid } from "ulid";
import { createRecordStore, memoryDriver } from "../storage/index.ts";
import type { PendingInteraction } from "./interaction.ts";
import { type RunRecord, untouched } from "./record.ts";
import { createRunFolders, type RunFolders } from "./run-folders.ts";

/** A run of skill "s" on codex in this state, made when its id says. */
export function recordOf(status: RunRecord["status"], id = ulid()): RunRecord {
  const made = new Date(decodeTime(id)).toISOString();
  return {
    request_id: id,
    status,
    skill_id: "s",
    skill_version: "1.0.0",
    skill_hash: "h",
    skill_source: "installed",
    engine: "codex",
    model: null,
    provider_id: null,
    effort: null,
    input: {},
    parameter: {},
    runtime_options: { no_cache: true, execution_mode: "auto", interactive_auto_reply: false, priority: 5 },
    conversation_mode: "session",
    sent_by: null,
    needs_upload: false,
    created_at: made,
    updated_at: made,
    ...untouched,
  };
}

/** The first question of a run. */
export const question: PendingInteraction = {
  interaction_id: 1,
  kind: "open_text",
  prompt: "Which colour?",
  options: [],
  ui_hints: {},
  default_decision_policy: "engine_judgement",
  required_fields: [],
  context: null,
  source_attempt: 1,
  created_at: "2026-11-25T10:00:00.000Z",
  expires_at: null,
};

/** Folders of runs on a storage that lies on the same disk. */
export function localFolders(dataDir: string): RunFolders {
  return createRunFolders({
    dataDir,
    records: createRecordStore(memoryDriver()),
    environment: {},
    isShared: false,
    log: { warn() {} },
  });
}

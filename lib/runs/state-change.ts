import { parseJson } from "../json.ts";
import { newsOf } from "./auth-challenge.ts";
import { runEvent } from "./event-log.ts";
import { type StateChange, stateChange, type ToldEvent } from "./event-types.ts";
import type { RunRecord } from "./record.ts";
import { readTail } from "./tail.ts";
import { isTerminal, type RunStatus } from "./transitions.ts";

const stateChangedType = "conversation.state.changed";

/**
 * What the log tells of a run's last change of status: what led to it, then the change itself. Made from the record
 * alone, so that it can be told after a crash that came between the two.
 * @param run the record after the change
 */
export function describeStep(run: RunRecord, from: RunStatus): ToldEvent[] {
  return [...causeOf(run), { type: stateChangedType, data: describeStateChange(run, from) }];
}

function causeOf({ status, trigger, pending, pending_auth, resume, error }: RunRecord): ToldEvent[] {
  if (status === "waiting_user" && pending) return [{ type: "user.input.required", data: pending }];
  if (status === "waiting_auth" && pending_auth)
    return [{ type: "auth.required", data: newsOf(pending_auth) }];
  if (trigger === "interaction.reply.accepted" && resume?.reply) {
    return [{ type: "interaction.reply.accepted", data: resume.reply }];
  }
  if (trigger === "interaction.auto_decide.timeout" && resume?.reply) {
    const { interaction_id } = resume.reply;
    return [{ type: "interaction.auto_decide.timeout", data: { interaction_id } }];
  }
  if (trigger === "auth.completed" && resume?.auth) return [{ type: "auth.completed", data: resume.auth }];
  if (trigger === "auth.failed" && resume?.auth) {
    const { auth_session_id } = resume.auth;
    return [{ type: "auth.failed", data: { auth_session_id, error: error?.message ?? "" } }];
  }
  return [];
}

function describeStateChange(run: RunRecord, from: RunStatus): StateChange {
  const { status, error, warnings, turns, updated_at, usage, resources } = run;
  const terminal = {
    status,
    reason_code: error?.code ?? null,
    error,
    diagnostics: warnings,
    turns,
    usage,
    resources,
  };
  return {
    from,
    to: status,
    trigger: run.trigger ?? "",
    revision: run.revision,
    updated_at,
    pending_interaction_id: run.pending?.interaction_id ?? null,
    pending_auth_session_id: run.pending_auth?.auth_session_id ?? null,
    ...(isTerminal(status) ? { terminal } : {}),
  };
}

/** Bytes of a log's end that are looked at first: more than most runs tell between two changes of status. */
const tailBytes = 1024 * 1024;

/** How far a log tells a run's life. */
export interface ToldSoFar {
  /** The last change of status, or null. */
  change: StateChange | null;
  /** Types of the events behind it. */
  behind: string[];
}

/** Looks at as much of the log's end as it takes. A torn last line does not count. */
export async function toldSoFar(eventsPath: string): Promise<ToldSoFar> {
  for (let bytes = tailBytes; ; bytes *= 8) {
    const { text, truncated } = await readTail(eventsPath, bytes);
    const told = toldIn(text.slice(0, text.lastIndexOf("\n") + 1));
    if (told.change !== null || !truncated) return told;
  }
}

function toldIn(lines: string): ToldSoFar {
  const behind: string[] = [];
  for (const line of lines.split("\n").reverse()) {
    const event = runEvent.safeParse(parseJson(line)).data;
    if (event === undefined) continue;
    const change = event.type === stateChangedType ? stateChange.safeParse(event.data).data : undefined;
    if (change !== undefined) return { change, behind };
    behind.push(event.type);
  }
  return { change: null, behind };
}

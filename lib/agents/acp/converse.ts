import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientContext } from "@agentclientprotocol/sdk";
import type { Conversation, TurnRequest } from "../agent.ts";
import type { AgentEvent } from "../events.ts";
import { asked, readAnswer, TurnFailed } from "./failures.ts";
import { chooseModel, openSession } from "./session.ts";
import { createUpdateReader, permissionRequest, promptAnswer } from "./updates.ts";
import { messageStream } from "./wire.ts";

export interface AcpSettings {
  /** Id of the method to authenticate with when the CLI asks for that. */
  authMethod: string | null;
  /** The model is among the arguments already. */
  modelByArgument: boolean;
}

/** Milliseconds a CLI has until its session is open: what is no agent of this protocol never answers. */
const openMs = 120_000;
/** Milliseconds without a word after which a loaded session counts as retold, and the longest to wait for that. */
const quietMs = 400;
const retoldMs = 20_000;
/** Milliseconds between a CLI's answer and the end of its stdin: qwen 0.15 writes down last what it answered last, and no more when stdin has ended. */
const settleMs = 300;
/** Milliseconds a CLI has to end by itself once its stdin is closed: it may still have its session to write. */
const hangUpMs = 2_000;

/**
 * Speaks one turn of the Agent Client Protocol (https://agentclientprotocol.com) with a CLI on stdin and stdout.
 * Resolves when the turn is over, the CLI has ended, or the signal aborts. Rejects when the CLI breaks the protocol.
 */
export async function converse(
  turn: TurnRequest,
  conversation: Conversation,
  settings: AcpSettings,
): Promise<void> {
  const { input, output, emit, signal } = conversation;
  // Loaded when first needed: no other agent has a use for it.
  const { client, methods } = await import("@agentclientprotocol/sdk");
  const ear = createEar(emit);
  const app = client({ name: "skill-runner" })
    .onNotification(methods.client.session.update, unread, ({ params }) => ear.hear(params))
    .onRequest(methods.client.session.requestPermission, permissionRequest, ({ params }) => {
      // Allowing for ever would be written into the user's own settings.
      const kinds = ["allow_once", "allow_always"];
      const allowed = kinds.flatMap((kind) => params.options.filter((option) => option.kind === kind))[0];
      if (allowed === undefined || signal.aborted) return { outcome: { outcome: "cancelled" } };
      ear.updates.permitted(params.toolCall);
      return { outcome: { outcome: "selected", optionId: allowed.optionId } };
    });
  const over = new AbortController();
  const talk = app.connectWith(messageStream(input, output), (agent) =>
    speak(agent, turn, conversation, settings, ear),
  );
  try {
    await Promise.race([talk, untilAborted(AbortSignal.any([signal, over.signal]))]);
    if (!signal.aborted) await hangUp(input, output);
  } catch (error) {
    if (error instanceof TurnFailed) emit({ type: "failure", kind: error.kind, message: error.message });
    // How a process ended says more than that it did.
    else if (!output.readableEnded) throw error;
  } finally {
    over.abort();
    talk.catch(() => undefined);
  }
}

const unread = (params: unknown) => params;

/** Hears what the session tells: first, maybe, the story of earlier turns, then this turn's. */
function createEar(emit: (event: AgentEvent) => void) {
  const updates = createUpdateReader(emit);
  let live = false;
  let retold = 0;
  let heardAt = performance.now();
  return {
    updates,
    hear(params: unknown) {
      heardAt = performance.now();
      if (live) updates.take(params);
      else if (updates.takeHistory(params)) retold += 1;
    },
    /** From now on what is told is this turn's. */
    listen() {
      live = true;
    },
    /** Resolves with how much was retold, once nothing more comes: there are CLIs that answer first and tell then. */
    async story(): Promise<number> {
      const from = performance.now();
      heardAt = from;
      while (performance.now() - heardAt < quietMs && performance.now() - from < retoldMs) await sleep(50);
      return retold;
    },
  };
}

async function speak(
  agent: ClientContext,
  turn: TurnRequest,
  { prompt, emit, signal }: Conversation,
  settings: AcpSettings,
  ear: ReturnType<typeof createEar>,
): Promise<void> {
  const session = await within(openMs, openSession(agent, turn, settings.authMethod));
  if (turn.sessionId === null) ear.updates.newSession();
  // There are CLIs that take any id for a session, and quietly start a new one.
  if (turn.sessionId !== null && (await ear.story()) === 0 && session.retold) {
    throw new TurnFailed(
      "session",
      "The CLI did not go on with the run's session: it has nothing of it to tell.",
    );
  }
  if (session.lasts) emit({ type: "session", sessionId: session.id });
  if (turn.model !== null && !settings.modelByArgument) await chooseModel(agent, session, turn);
  emit({ type: "turn_started" });
  const sessionId = session.id;
  const cancel = () => void agent.notify("session/cancel", { sessionId }).catch(() => undefined);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    ear.listen();
    const asking = { sessionId, prompt: [{ type: "text", text: prompt }] };
    const answer = await asked(agent.request<unknown>("session/prompt", asking), "model", "other");
    // What was told before the answer may be in hand still.
    await sleep(0);
    ear.updates.end(readAnswer("session/prompt", promptAnswer, answer));
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`it opened no session within ${ms / 1000} s`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** Lets the CLI write down what it said, closes stdin and lets it end by itself for a while. */
async function hangUp(input: Writable, output: Readable): Promise<void> {
  output.resume();
  if (!output.readableEnded) await sleep(settleMs);
  input.end();
  if (!output.readableEnded)
    await Promise.race([once(output, "end"), sleep(hangUpMs, undefined, { ref: false })]);
}

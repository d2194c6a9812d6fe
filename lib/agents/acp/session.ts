import type { ClientContext } from "@agentclientprotocol/sdk";
import { z } from "zod";
import type { TurnRequest } from "../agent.ts";
import { asked, readAnswer, TurnFailed, wantsAuthentication } from "./failures.ts";

/** The version of the protocol that is spoken here; 1 since it is stable. */
const protocolVersion = 1;

/** A capability is there when its object is. */
const capability = z.looseObject({}).nullish().catch(null);
const hello = z.object({
  protocolVersion: z.number(),
  agentCapabilities: z
    .object({
      loadSession: z.boolean().catch(false),
      sessionCapabilities: z.object({ resume: capability }).nullish().catch(null),
    })
    .nullish()
    .catch(null),
});

const option = z.object({ id: z.string(), category: z.string().nullish().catch(null) });
const options = z
  .array(option.or(z.unknown().transform(() => null)))
  .nullish()
  .catch(null);
const created = z.object({ sessionId: z.string().min(1), configOptions: options });
const opened = z.object({ configOptions: options }).nullish();

export interface AcpSession {
  id: string;
  /** Another process can go on with it. */
  lasts: boolean;
  /** The CLI tells what was said in it before, as the protocol has it after `session/load`. */
  retold: boolean;
  /** The option of the session that takes a model's name, or null. */
  modelOption: string | null;
}

/**
 * Starts a session in the workspace, or goes on with the turn's.
 * @param authMethod what to authenticate with when the CLI asks for that, or null
 * @throws TurnFailed when the CLI will not; Error when it does not speak the protocol
 */
export async function openSession(
  agent: ClientContext,
  turn: TurnRequest,
  authMethod: string | null,
): Promise<AcpSession> {
  const request = (method: string, params: object) => agent.request<unknown>(method, params);
  const greeting = {
    protocolVersion,
    // It has files and terminals of its own: the workspace is on the same machine.
    clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
    clientInfo: { name: "skill-runner", version: "1" },
  };
  const told = readAnswer("initialize", hello, await asked(request("initialize", greeting), "other"));
  if (told.protocolVersion !== protocolVersion) {
    throw new Error(`it speaks version ${told.protocolVersion}, not ${protocolVersion}`);
  }
  const loads = told.agentCapabilities?.loadSession === true;
  const resumes = told.agentCapabilities?.sessionCapabilities?.resume != null;

  const authenticated = async (method: string, params: object) => {
    try {
      return await request(method, params);
    } catch (error) {
      if (authMethod === null || !wantsAuthentication(error)) throw error;
      await request("authenticate", { methodId: authMethod });
      return request(method, params);
    }
  };
  const place = { cwd: turn.workspace, mcpServers: [] };
  if (turn.sessionId === null) {
    const method = "session/new";
    const answer = readAnswer(method, created, await asked(authenticated(method, place), "other"));
    const modelOption = modelOptionOf(answer.configOptions);
    return { id: answer.sessionId, lasts: loads || resumes, retold: false, modelOption };
  }
  if (!loads && !resumes) {
    throw new TurnFailed("session", "The CLI cannot go on with a session of another process.");
  }
  // Loading comes first, because what is retold shows that the session is the right one.
  const method = loads ? "session/load" : "session/resume";
  const params = { ...place, sessionId: turn.sessionId };
  const answer = readAnswer(method, opened, await asked(authenticated(method, params), "session"));
  const modelOption = modelOptionOf(answer?.configOptions);
  return { id: turn.sessionId, lasts: true, retold: loads, modelOption };
}

/** @throws TurnFailed when the session takes no model, or not this one. */
export async function chooseModel(
  agent: ClientContext,
  session: AcpSession,
  turn: TurnRequest,
): Promise<void> {
  if (session.modelOption === null) {
    throw new TurnFailed(
      "model",
      "The CLI's sessions have no option for the model: name its argument in model_arg.",
    );
  }
  const value = modelName(turn);
  const params = { sessionId: session.id, configId: session.modelOption, value };
  await asked(agent.request<unknown>("session/set_config_option", params), "model");
}

/** The model as CLIs with several providers name it. */
export function modelName({ provider, model }: TurnRequest): string | null {
  return provider === null || model === null ? model : `${provider}/${model}`;
}

function modelOptionOf(found: z.infer<typeof options>): string | null {
  const known = (found ?? []).flatMap((candidate) => candidate ?? []);
  return known.find(({ id, category }) => category === "model" || id === "model")?.id ?? null;
}

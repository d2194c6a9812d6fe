import { stripVTControlCharacters } from "node:util";
import type { Agent, DeviceChallenge } from "../agent.ts";
import { killGroup } from "../kill-group.ts";
import { codeOf } from "../manager/config-folders.ts";
import { startProcess } from "../start-process.ts";

export interface DeviceLoginOptions {
  /** Absolute path of the CLI. */
  executable: string;
  environment: Readonly<Record<string, string>>;
  /** Ends the login: its whole process group. */
  signal: AbortSignal;
  /** Milliseconds somebody has to confirm it. */
  timeoutMs: number;
}

/** A login by device code (RFC 8628) that the CLI itself carries out. Neither promise is left to fail unheard. */
export interface DeviceLogin {
  /** Rejects with a reason for people when the CLI gives none in time. */
  challenge: Promise<DeviceChallenge>;
  /** Never rejects. */
  done: Promise<{ ok: boolean; error: string | null }>;
}

/** Milliseconds the CLI has to come up with the page and the code. */
const challengeTimeoutMs = 30_000;
/** Most characters of its output that are looked at. */
const mostOutput = 64 * 1024;

/** @throws Error for an agent that has no such login */
export function startDeviceLogin(agent: Agent, options: DeviceLoginOptions): DeviceLogin {
  const deviceCode = agent.login?.deviceCode;
  if (deviceCode === undefined) throw new Error(`The ${agent.title} has no login by device code.`);
  let onOutput = (_stdout: string): void => undefined;
  const done = carryOut(options, deviceCode.args, (stdout) => onOutput(stdout)).catch((error: unknown) => ({
    ok: false,
    error: `The CLI could not be started (${codeOf(error)}).`,
  }));
  const challenge = new Promise<DeviceChallenge>((resolve, reject) => {
    const missing = (why: string) => reject(new Error(`The ${agent.title} showed no code ${why}.`));
    const tooLate = setTimeout(() => missing(`within ${challengeTimeoutMs / 1000} s`), challengeTimeoutMs);
    onOutput = (stdout) => {
      const read = deviceCode.read(stdout);
      if (read !== null) resolve(read);
    };
    void done.then(({ error }) => {
      clearTimeout(tooLate);
      missing(`before it ended${error === null ? "" : `: ${error.replace(/\.$/, "")}`}`);
    });
  });
  challenge.catch(() => undefined);
  return { challenge, done };
}

async function carryOut(
  { executable, environment, signal, timeoutMs }: DeviceLoginOptions,
  args: string[],
  onOutput: (stdout: string) => void,
): Promise<{ ok: boolean; error: string | null }> {
  const { child } = await startProcess(executable, args, {
    env: environment,
    extendEnv: false,
    stdin: "ignore",
    buffer: false,
    reject: false,
    cleanup: false,
  });
  let ended: string | null = null;
  const end = (why: string) => {
    ended ??= why;
    killGroup(child.pid);
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const timer = setTimeout(() => end("Nobody confirmed the login in time."), timeoutMs);
  const abort = () => end("The login was ended before somebody confirmed it.");
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  let printed = "";
  let complained = "";
  child.stdout.on("data", (chunk: Buffer) => {
    printed = (printed + stripVTControlCharacters(chunk.toString("utf8"))).slice(-mostOutput);
    onOutput(printed);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    complained = (complained + stripVTControlCharacters(chunk.toString("utf8"))).slice(-mostOutput);
  });
  const { exitCode } = await child;
  clearTimeout(timer);
  signal.removeEventListener("abort", abort);
  if (exitCode === 0) return { ok: true, error: null };
  if (ended !== null) return { ok: false, error: ended };
  const reason = complained.trim().split("\n").at(-1)?.slice(0, 500) ?? "";
  return { ok: false, error: reason === "" ? "The login ended without success." : reason };
}

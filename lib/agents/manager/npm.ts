import { type ChildProcess, spawn } from "node:child_process";
import { delimiter } from "node:path";
import { everyAgentSees } from "../environment.ts";
import { killGroup } from "../kill-group.ts";

export type OutputStream = "stdout" | "stderr";

export interface NpmOptions {
  cwd: string;
  /** The server's environment; npm and the install scripts of packages get an allow list of it. */
  environment: Readonly<Record<string, string | undefined>>;
  signal?: AbortSignal;
  timeoutMs: number;
  onOutput?(stream: OutputStream, text: string): void;
  /** The process group of npm and its scripts; null when it has ended. */
  onGroup?(group: number | null): void;
}

/** How npm ended. `exitCode` is null when it was ended or could not be started; then `trouble` says why. */
export interface NpmOutcome {
  exitCode: number | null;
  trouble: string | null;
  /** The end of what it said on both streams. */
  lastWords: string;
}

const lastWordsLength = 4_096;

/** Runs npm to its end, or until it is told to stop: then npm and every script it started are gone. Never rejects. */
export async function runNpm(args: string[], options: NpmOptions): Promise<NpmOutcome> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  if (signal.aborted) return { exitCode: null, trouble: "it was stopped before it began", lastWords: "" };
  const child: ChildProcess = spawn("npm", args, {
    cwd: options.cwd,
    env: npmEnvironment(options.environment),
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that one signal reaches the install scripts too.
    detached: true,
  });
  const closed = new Promise<{ code: number | null; trouble: string | null }>((resolve) => {
    child.once("error", (error) => resolve({ code: null, trouble: `npm cannot be run: ${error.message}` }));
    child.once("close", (code, killedBy) =>
      resolve({ code, trouble: killedBy === null ? null : `npm was ended by ${killedBy}` }),
    );
  });
  if (child.pid !== undefined) options.onGroup?.(child.pid);
  let lastWords = "";
  for (const stream of ["stdout", "stderr"] as const) {
    // Out of file descriptors there are no streams; `closed` tells.
    child[stream]?.setEncoding("utf8");
    child[stream]?.on("data", (text: string) => {
      lastWords = (lastWords + text).slice(-lastWordsLength);
      options.onOutput?.(stream, text);
    });
  }
  // What it has made is thrown away, so it need not be asked politely.
  const stop = () => killGroup(child.pid);
  signal.addEventListener("abort", stop, { once: true });
  const ended = await closed;
  signal.removeEventListener("abort", stop);
  options.onGroup?.(null);
  const trouble = timeout.aborted
    ? `npm was ended: it took longer than ${Math.round(options.timeoutMs / 1000)} s`
    : signal.aborted
      ? "npm was ended: the install was stopped"
      : ended.trouble;
  return { exitCode: signal.aborted ? null : ended.code, trouble, lastWords: lastWords.trim() };
}

/** Where there is no network, npm's own waits would hold up a start by more than a minute per engine. */
const impatience = {
  NPM_CONFIG_FETCH_RETRY_MINTIMEOUT: "2000",
  NPM_CONFIG_FETCH_RETRY_MAXTIMEOUT: "10000",
};

/** What npm needs for private registries, beside its own settings: the names that .npmrc files commonly refer to. */
const registryKeys = ["NPM_TOKEN", "NODE_AUTH_TOKEN"];

/**
 * The environment of npm: an allow list, as for agents, because packages bring install scripts. npm's own settings
 * pass (`NPM_CONFIG_REGISTRY` ...), but not its prefix, and not what an `npm run` around the server hands down.
 */
function npmEnvironment(environment: NpmOptions["environment"]): Record<string, string> {
  const insideNpm = environment.npm_execpath !== undefined || environment.npm_command !== undefined;
  const passes = (name: string) => {
    if (/^npm_config_(global_|local_)?prefix$/i.test(name)) return false;
    if (/^npm_config_/.test(name)) return !insideNpm;
    return /^NPM_CONFIG_/.test(name) || everyAgentSees.includes(name) || registryKeys.includes(name);
  };
  const entries = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && passes(entry[0]),
  );
  const path = environment.PATH ?? ["/usr/local/bin", "/usr/bin", "/bin"].join(delimiter);
  return { ...impatience, ...Object.fromEntries(entries), PATH: path };
}

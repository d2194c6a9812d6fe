import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

const root = join(import.meta.dirname, "..");

const startTimeoutMs = 30_000;
const answerTimeoutMs = 40_000;

export interface RunningServer {
  url: string;
  child: ChildProcess;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  json(method: string, path: string, body?: object): Promise<{ status: number; headers: Headers; body: any }>;
  /** Ends it as an operator does; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** kill -9. */
  crash(): Promise<void>;
}

export interface LaunchedServer {
  child: ChildProcess;
  /** Resolves when it takes requests; rejects when it ends before. */
  ready: Promise<RunningServer>;
  /** Resolves with its exit code when it has ended; null for a signal. */
  exited: Promise<number | null>;
}

/** The built server (dist/) as a process of its own, with this environment and no other but PATH. */
export function startBuiltServer(env: Record<string, string>): Promise<RunningServer> {
  return launchBuiltServer(env).ready;
}

/** The same, for whoever must act before it is ready. */
export function launchBuiltServer(env: Record<string, string>): LaunchedServer {
  const child = spawn(process.execPath, [join(root, "dist/runtime/main.js")], {
    cwd: root,
    env: { PATH: process.env.PATH, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words += chunk.toString();
  });
  const url = new Promise<string>((resolve, reject) => {
    setTimeout(() => reject(new Error(`the server was not ready in time: ${words}`)), startTimeoutMs).unref();
    child.once("exit", (code) => reject(new Error(`the server ended with code ${code}: ${words}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const ready = /"url":"([^"]+)\/v1"/.exec(line)?.[1];
      if (ready !== undefined) resolve(ready);
    });
  });
  const running = (url: string): RunningServer => ({
    url,
    child,
    async json(method, path, body) {
      const response = await fetch(url + path, {
        method,
        // A request that is never answered names itself instead of using up the test's time.
        signal: AbortSignal.timeout(answerTimeoutMs),
        ...(body === undefined
          ? {}
          : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === "" ? null : JSON.parse(text),
      };
    },
    stop() {
      child.kill("SIGTERM");
      return exited;
    },
    async crash() {
      child.kill("SIGKILL");
      await exited;
    },
  });
  return { child, ready: url.then(running), exited };
}

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";

/** A real storage server on 127.0.0.1, with an empty folder of its own. */
export interface StorageServer {
  /** What SKILL_RUNNER_STORAGE says. */
  url: string;
  /** What else the environment says. */
  environment: Record<string, string>;
  /** Ends it as a crash of its machine's power would not, but `kill -9` does; what it holds stays. */
  kill(): Promise<void>;
  /** Ends it in order, as a restart for an update does: whoever is connected is told so, or cut off. */
  stop(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  remove(): Promise<void>;
}

const startDeadlineMs = 90_000;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Debian's redis-server. @param more settings of its own, as on its command line; the last one counts */
export async function redisServer(...more: string[]): Promise<StorageServer> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "redis-"));
  const settings = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
  const durable = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];
  return served(`redis://127.0.0.1:${port}/0`, folder, "SIGTERM", async () =>
    started(
      spawn("redis-server", [...settings, ...durable, ...more], { stdio: ["ignore", "pipe", "inherit"] }),
      /Ready to accept/,
    ),
  );
}

/** Debian's PostgreSQL. It does not run as root: as its own user then. */
export async function postgresServer(): Promise<StorageServer> {
  const bin = postgresFolder();
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "postgres-"));
  const user = process.getuid?.() === 0 ? userOf("postgres") : null;
  if (user !== null) await chown(folder, user.uid, user.gid);
  const env = { ...process.env, LC_ALL: "C.UTF-8" };
  const data = join(folder, "data");
  const setUp = ["-D", data, "-U", "runner", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"];
  execFileSync(join(bin, "initdb"), setUp, { ...(user ?? {}), env, stdio: ["ignore", "ignore", "inherit"] });
  const settings = [`port=${port}`, "listen_addresses=127.0.0.1", `unix_socket_directories=${folder}`];
  const flags = settings.flatMap((setting) => ["-c", setting]);
  // SIGINT is PostgreSQL's fast shutdown.
  return served(`postgres://runner@127.0.0.1:${port}/postgres`, folder, "SIGINT", async () =>
    started(
      spawn(join(bin, "postgres"), ["-D", data, ...flags], {
        ...user,
        env,
        stdio: ["ignore", "ignore", "pipe"],
      }),
      /ready to accept connections/,
    ),
  );
}

const s3Keys = { AWS_ACCESS_KEY_ID: "runner", AWS_SECRET_ACCESS_KEY: "runner-secret" };

/** Debian's Ceph with its S3 gateway. It keeps all in memory: what is killed and started here is the way to it. */
export async function s3Server(): Promise<StorageServer> {
  const folder = await mkdtemp(join(tmpdir(), "s3-"));
  const [behind, port] = [await freePort(), await freePort()];
  const script = join(import.meta.dirname, "start-ceph.sh");
  const args = [join(folder, "ceph"), `${behind}`, ...Object.values(s3Keys)];
  const ceph = await started(spawn(script, args, { stdio: ["ignore", "pipe", "pipe"] }), /^ready /m);
  // For what runs in this process.
  Object.assign(process.env, s3Keys);
  const client = new S3Client({
    region: "us-east-1",
    endpoint: `http://127.0.0.1:${behind}`,
    forcePathStyle: true,
  });
  await client.send(new CreateBucketCommand({ Bucket: "records" }));
  client.destroy();
  let way = await passOn(port, behind);
  return {
    url: `s3://records/some/folder?endpoint=http://127.0.0.1:${port}`,
    environment: s3Keys,
    kill: () => way.close(),
    stop: () => way.close(),
    async start() {
      way = await passOn(port, behind);
    },
    async remove() {
      await way.close();
      const ended = once(ceph, "exit");
      ceph.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Passes connections on from one port to another, until it is closed: then they break. */
async function passOn(port: number, to: number): Promise<{ close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = createServer((from) => {
    const onward = connect(to, "127.0.0.1");
    for (const [socket, other] of [
      [from, onward],
      [onward, from],
    ] as const) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    async close() {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function postgresFolder(): string {
  const versions = "/usr/lib/postgresql";
  const [newest] = (existsSync(versions) ? readdirSync(versions) : [])
    .filter((version) => existsSync(join(versions, version, "bin", "initdb")))
    .sort((a, b) => Number(b) - Number(a));
  if (newest === undefined)
    throw new Error("PostgreSQL's server is not installed: apt-get install postgresql");
  return join(versions, newest, "bin");
}

function userOf(name: string): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync("id", [flag, name], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

/** Resolves when a server says that it is ready, on its stdout or stderr. */
async function started(server: ChildProcess, ready: RegExp): Promise<ChildProcess> {
  let said = "";
  const isReady = new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      said += chunk.toString();
      if (ready.test(said)) resolve();
    };
    server.stdout?.on("data", hear);
    server.stderr?.on("data", hear);
    server.once("error", reject);
    server.once("exit", (code) =>
      reject(new Error(`a storage server ended at its start (${code}): ${said}`)),
    );
  });
  await Promise.race([
    isReady,
    sleep(startDeadlineMs, undefined, { ref: false }).then(() => {
      throw new Error(`a storage server did not start: ${said}`);
    }),
  ]);
  return server;
}

async function served(
  url: string,
  folder: string,
  stopSignal: NodeJS.Signals,
  run: () => Promise<ChildProcess>,
): Promise<StorageServer> {
  let server: ChildProcess | undefined;
  const end = async (signal: NodeJS.Signals) => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill(signal);
    await ended;
  };
  const kill = () => end("SIGKILL");
  const start = async () => {
    server = await run();
  };
  await start();
  return {
    url,
    environment: {},
    kill,
    stop: () => end(stopSignal),
    start,
    async remove() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

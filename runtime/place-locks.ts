import { createHash } from "node:crypto";
import { realpath, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

/** Longest path a unix socket may have on Linux (sun_path, unix(7)); macOS has four bytes less. */
const maxSocketPath = 103;

const answerTimeoutMs = 1_000;

/**
 * Makes sure that one server alone works in a data directory: two would run the same queued jobs. The sign is a unix
 * socket in it that somebody listens on. Nobody listens after a `kill -9`, so a stale one is told from a live one at
 * once, also between containers that share the directory.
 * A file system that knows no sockets (a Windows folder, some network ones) has the sign in the machine's temporary folder,
 * where a server in another container does not see it.
 * @param warn told when that is so
 * @returns what gives the directory free again
 * @throws Error when another server is at work there
 */
export async function lockDataDir(
  dataDir: string,
  warn: (message: string) => void,
): Promise<() => Promise<void>> {
  try {
    return await hold(join(dataDir, "server.sock"), dataDir);
  } catch (error) {
    if (!knowsNoSockets(error)) throw error;
    warn(
      "the data folder's file system knows no sockets: a second server from another container is not noticed there",
    );
    const name = createHash("sha256")
      .update(await realpath(dataDir))
      .digest("hex")
      .slice(0, 16);
    return hold(join(tmpdir(), `skill-runner-${name}.sock`), dataDir);
  }
}

async function hold(path: string, dataDir: string): Promise<() => Promise<void>> {
  // A path too long for a socket may be short enough from here.
  const address = path.length <= maxSocketPath ? path : relative(process.cwd(), path);
  if (address.length > maxSocketPath) return async () => undefined;
  if (await somebodyListens(address)) {
    throw new Error(
      `Another server is at work in ${dataDir}. Stop it, or set SKILL_RUNNER_DATA_DIR to another folder.`,
    );
  }
  await rm(path, { force: true });
  const server = await listen(address);
  return () => new Promise((resolve) => server.close(() => resolve()));
}

function knowsNoSockets(error: unknown): boolean {
  const codes = ["EOPNOTSUPP", "ENOTSUP", "EIO", "EPERM", "EINVAL"];
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** A live server says so. That somebody holds the socket is not enough: a child of a dead one may, until it execs. */
function somebodyListens(address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    const answer = (alive: boolean) => {
      socket.destroy();
      resolve(alive);
    };
    socket.once("data", () => answer(true));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT" || error.code === "ECONNRESET")
        answer(false);
      else reject(error);
    });
    socket.once("close", () => answer(false));
    socket.setTimeout(answerTimeoutMs, () => answer(false));
  });
}

function listen(address: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end("at work\n");
    });
    server.unref();
    server.once("error", reject);
    server.listen(address, () => resolve(server));
  });
}

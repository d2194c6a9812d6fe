import { createHash } from "node:crypto";
import { mkdir, realpath, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { StoragePlace } from "../lib/storage/index.ts";

/** Longest path a unix socket may have on Linux (sun_path, unix(7)); macOS has four bytes less. */
const maxSocketPath = 103;

const answerTimeoutMs = 1_000;

type Unlock = () => Promise<void>;

/** What one server alone may work in. */
interface Place {
  /** Absolute path of the socket that is the sign of it. */
  socket: string;
  /** As messages call it. */
  name: string;
  /** What to do when another one is there, beside stopping it. */
  advice: string;
}

/**
 * Makes sure that one server alone works in a data directory, and in the folders and files that storages have elsewhere: two
 * would run the same queued jobs. The sign is a unix socket in each that somebody listens on. Nobody listens after a
 * `kill -9`, so a stale one is told from a live one at once, also between containers that share the folder.
 * A file system that knows no sockets (a Windows folder, some network ones) has the sign in the machine's temporary folder,
 * where a server in another container does not see it.
 * @param dataDir absolute, and there
 * @param warn told when that is so
 * @returns what gives all of them free again
 * @throws Error when another server is at work in one of them
 */
export async function lockPlaces(
  dataDir: string,
  storages: readonly StoragePlace[],
  warn: (message: string) => void,
): Promise<Unlock> {
  const held: Unlock[] = [];
  const unlock = async () => {
    for (const release of held.splice(0).reverse()) await release();
  };
  const places = new Map<string, Place>();
  for (const place of [dataDirectory(dataDir), ...storages.flatMap(ownPlace)])
    places.set(place.socket, place);
  try {
    for (const place of places.values()) held.push(await lock(place, warn));
    return unlock;
  } catch (error) {
    await unlock();
    throw error;
  }
}

function dataDirectory(dataDir: string): Place {
  const advice = "set SKILL_RUNNER_DATA_DIR to another folder";
  return { socket: join(dataDir, "server.sock"), name: dataDir, advice };
}

/** Of a storage that lies in a folder or file of its own; in the data directory it is held with that. */
function ownPlace(storage: StoragePlace): Place[] {
  const advice = "set SKILL_RUNNER_STORAGE to another one";
  // Begins with a dot: it is none of the records.
  if (storage.kind === "fs" && storage.folder !== null) {
    const folder = resolve(storage.folder);
    return [{ socket: join(folder, ".server.sock"), name: folder, advice }];
  }
  if (storage.kind === "sqlite" && storage.path !== null) {
    const path = resolve(storage.path);
    return [{ socket: join(dirname(path), `.${basename(path)}.sock`), name: path, advice }];
  }
  return [];
}

async function lock(place: Place, warn: (message: string) => void): Promise<Unlock> {
  const folder = dirname(place.socket);
  await mkdir(folder, { recursive: true });
  try {
    return await hold(place.socket, place);
  } catch (error) {
    if (!knowsNoSockets(error)) throw error;
    warn(
      `the file system of ${folder} knows no sockets: a second server from another container is not noticed there`,
    );
    const sign = createHash("sha256")
      .update(join(await realpath(folder), basename(place.socket)))
      .digest("hex")
      .slice(0, 16);
    return hold(join(tmpdir(), `skill-runner-${sign}.sock`), place);
  }
}

async function hold(path: string, { name, advice }: Place): Promise<Unlock> {
  // A path too long for a socket may be short enough from here.
  const address = path.length <= maxSocketPath ? path : relative(process.cwd(), path);
  if (address.length > maxSocketPath) return async () => undefined;
  if (await somebodyListens(address))
    throw new Error(`Another server is at work in ${name}. Stop it, or ${advice}.`);
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

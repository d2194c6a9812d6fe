import { constants, createReadStream } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep, win32 } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { extract, Header, Pax } from "tar";

export interface PackOptions {
  /** Which paths below the folder ("a/b") go along, with all that is in them. */
  keeps(path: string): boolean;
  /**
   * Told of what cannot be read, has a name that is no text or that node-tar would spell another way, lies too deep
   * (100 folders, 3,000 bytes), or is a link that leads out of the folder.
   */
  onLeftOut(path: string): void;
}

const blockBytes = 512;
/** node-tar's word for an entry that it takes in another way than it is spelled; all others are for one it does not take. */
const takenOtherwise = "TAR_ENTRY_INFO";
/** Folders in folders that come along: node-tar's memory and time grow with the third power of it, to gigabytes at 600. */
const maxDepth = 100;
/** Of a path in the folder: it must fit into PATH_MAX (4096, path_resolution(7)) below any data directory. */
const maxPathBytes = 3_000;
/** What took the place of a file meanwhile is not followed, and not waited for. */
const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A folder as a gzipped tar (POSIX.1-2001 pax), in pieces: files with their modes and times, links, empty folders. Hard links
 * become files of their own; sockets, pipes and devices are left out, and what `onLeftOut` is told of. node-tar reads what is written here; its own writer ends the
 * process when two things go wrong at once.
 * @throws the system's error when the disk fails; what vanishes or may not be read is left out
 */
export function packFolder(folder: string, options: PackOptions): AsyncIterable<Uint8Array> {
  const gzip = createGzip({ level: 4 });
  // It ends what reads from gzip, too, which throws then.
  pipeline(Readable.from(tarOf(folder, options)), gzip).catch(() => undefined);
  return gzip;
}

/**
 * Unpacks what `packFolder` made into a folder that is there. Nothing is written outside of it.
 * @returns the absolute paths of the files
 * @throws Error when it is no such archive, or the first one for which something in it could not be written
 */
export async function unpackFolder(pieces: AsyncIterable<Uint8Array>, folder: string): Promise<string[]> {
  const files: string[] = [];
  const missing: Error[] = [];
  const reader = extract({
    cwd: folder,
    preserveOwner: false,
    maxDepth,
    // These are copies that the server made: a file of zeros is packed to its thousandth part, and no bomb.
    maxDecompressionRatio: Number.POSITIVE_INFINITY,
    // It goes on with the next entry. What it cannot write, it tells here alone, with the system's error if there is one.
    onwarn(code, message, data) {
      if (code !== takenOtherwise && !isLinkNotMade(message, data))
        missing.push(data instanceof Error ? data : new Error(`${code}: ${String(message)}`));
    },
    onReadEntry: ({ type, path }) => void (type === "File" && files.push(join(folder, path))),
  });
  await pipeline(Readable.from(pieces), reader);
  const [first] = missing;
  if (first !== undefined) throw first;
  return files;
}

/** A link that leads through another one and then nowhere, or (in copies of older versions) to its own folder. */
function isLinkNotMade(message: unknown, data: unknown): boolean {
  return (
    message === "linkpath required" ||
    (data instanceof Error && "code" in data && data.code === "TAR_SYMLINK_ERROR")
  );
}

async function* tarOf(folder: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  yield* entriesOf(folder, "", options);
  yield Buffer.alloc(2 * blockBytes);
}

async function* entriesOf(folder: string, base: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  const names = await unlessLeftOut(readdir(join(folder, base), { encoding: "buffer" }));
  if (names === null) return options.onLeftOut(base);
  for (const bytes of names) {
    const name = bytes.toString();
    const path = base === "" ? name : `${base}/${name}`;
    if (!Buffer.from(name).equals(bytes) || !isTakenAsIs(path) || isTooDeep(path)) options.onLeftOut(path);
    else if (options.keeps(path)) yield* entryOf(folder, path, options);
  }
}

async function* entryOf(folder: string, path: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  const absolute = join(folder, path);
  const info = await unlessLeftOut(lstat(absolute));
  if (info === null) return options.onLeftOut(path);
  const about = { path, mode: info.mode & 0o7777, mtime: info.mtime };
  if (info.isDirectory()) {
    yield headerOf({ ...about, path: `${path}/`, type: "Directory", size: 0 });
    yield* entriesOf(folder, path, options);
  } else if (info.isSymbolicLink()) {
    const target = await unlessLeftOut(readlink(absolute));
    const linkpath =
      target === null ? null : linkOf(folder, absolute, await beyondLinks(folder, absolute, target));
    if (linkpath === null) return options.onLeftOut(path);
    yield headerOf({ ...about, type: "SymbolicLink", size: 0, linkpath });
  } else if (info.isFile()) {
    const file = await unlessLeftOut(open(absolute, readOnly));
    if (file === null) return options.onLeftOut(path);
    try {
      const { size } = await file.stat();
      yield headerOf({ ...about, type: "File", size });
      yield* bytesOf(file, size);
    } finally {
      await file.close();
    }
  }
}

/** Whether node-tar takes a path as it is: it knows Windows's roots and separators everywhere. */
function isTakenAsIs(path: string): boolean {
  return win32.parse(path).root === "" && !path.split(/[\\/]/).includes("..");
}

function isTooDeep(path: string): boolean {
  return path.split("/").length > maxDepth || Buffer.byteLength(path) > maxPathBytes;
}

/** Where a link leads in the end, if it leads through others of the folder: node-tar makes none that does. */
async function beyondLinks(folder: string, link: string, target: string): Promise<string> {
  const end = await realpath(link).catch(() => null);
  if (end === null) return target;
  const inside = relative(await realpath(folder), end);
  return inside === relative(folder, resolve(dirname(link), target)) ? target : join(folder, inside);
}

/** A link as it is to be spelled in another place; null when it leads out of the folder, or seems to. */
function linkOf(folder: string, link: string, target: string): string | null {
  const linkpath = insideOf(folder, link, target);
  if (linkpath === null || win32.parse(linkpath).root !== "") return null;
  return insideOf(folder, link, linkpath.replaceAll("\\", "/")) === null ? null : linkpath;
}

/** A link as it is to be spelled in another place; null when it leads out of the folder. */
function insideOf(folder: string, link: string, target: string): string | null {
  const inside = relative(folder, resolve(dirname(link), target));
  if (inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) return null;
  return isAbsolute(target) ? relative(dirname(link), target) || "." : target;
}

type Entry = { path: string; mode: number; mtime: Date; size: number; linkpath?: string } & Pick<
  Header,
  "type"
>;

function headerOf(entry: Entry): Uint8Array {
  const header = new Header({ ...entry });
  const needsPax = header.encode();
  if (header.block === undefined) throw new Error("tar gave no header");
  if (!needsPax) return header.block;
  const { path, linkpath, size, mtime } = entry;
  const pax = new Pax({ path, size, mtime, ...(linkpath === undefined ? {} : { linkpath }) });
  return Buffer.concat([pax.encode(), header.block]);
}

/** As many bytes as the header said, whatever becomes of the file meanwhile, and what fills its last block. */
async function* bytesOf(file: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  const zeros = Buffer.alloc(64 * 1024);
  let left = size;
  if (size > 0) {
    const stream = createReadStream("", { fd: file, autoClose: false, start: 0, end: size - 1 });
    for await (const chunk of stream) {
      const bytes: Buffer = chunk;
      left -= bytes.byteLength;
      yield bytes;
    }
  }
  let padding = left + ((blockBytes - (size % blockBytes)) % blockBytes);
  for (; padding > 0; padding -= zeros.byteLength) yield zeros.subarray(0, padding);
}

/** Null for what is gone or may not be read. */
async function unlessLeftOut<T>(action: Promise<T>): Promise<T | null> {
  try {
    return await action;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (["ENOENT", "ENOTDIR", "EACCES", "EPERM", "ELOOP", "ENAMETOOLONG"].includes(String(code))) return null;
    throw error;
  }
}

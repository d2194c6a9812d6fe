/**
 * Preloaded into the built server (`node --import`, by NODE_OPTIONS) by the crash tests, never by the server itself.
 * It counts every call that changes something in the data directory, and kills the process with SIGKILL right before,
 * right after, or in the middle of one of them.
 *
 * - CRASH_AT: number of the call, from 1; 0 only counts
 * - CRASH_SIDE: before | after | half (of the bytes of a write)
 * - CRASH_ARM: start | request (counts from the first request that has the header x-crash-arm)
 * - CRASH_OPS: file outside of the data directory that gets one JSON line per counted call, or for the deadly one alone
 */
import childProcess from "node:child_process";
import diagnostics from "node:diagnostics_channel";
import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { isAbsolute, join, relative } from "node:path";

const { CRASH_SIDE: side, CRASH_OPS: opsFile = "", SKILL_RUNNER_DATA_DIR: dataDir = "" } = process.env;
const deadlyCall = Number(process.env.CRASH_AT);
const append = fs.appendFileSync;
let armed = process.env.CRASH_ARM === "start";
let calls = 0;
/** Something that the world outside of the disk can see happened since the last call: an answer, the end of an agent. */
let seenOutside = true;

diagnostics.subscribe("http.server.request.start", ({ request }) => {
  if ("x-crash-arm" in request.headers) armed = true;
});
diagnostics.subscribe("http.server.response.finish", () => {
  seenOutside = true;
});

function die() {
  process.kill(process.pid, "SIGKILL");
}

/** Counts a call on these paths; says on which side of it, if any, the process has to die. */
function count(kind, paths, data = false) {
  const path = paths.find((one) => isInside(one));
  if (!armed || path === undefined) return "none";
  calls += 1;
  const deadly = calls === deadlyCall;
  if (deadlyCall === 0 || deadly) {
    const call = { n: calls, kind, path: relative(dataDir, path), data, seenOutside };
    append(opsFile, `${JSON.stringify(call)}\n`);
  }
  seenOutside = false;
  return deadly ? side : "none";
}

function isInside(path) {
  return typeof path === "string" && isAbsolute(path) && (path === dataDir || path.startsWith(`${dataDir}/`));
}

const half = (data) =>
  typeof data === "string" ? data.slice(0, data.length >> 1) : data.subarray(0, data.length >> 1);
const writes = (flags) => (typeof flags === "number" ? (flags & 3) !== 0 : /[wa+]/.test(flags ?? "r"));

/** Paths of open files, by number and by handle: writes name the file by these. */
const byNumber = new Map();
const byHandle = new WeakMap();
const pathOf = (file) => (typeof file === "number" ? byNumber.get(file) : (byHandle.get(file) ?? file));

/** What a call works on: paths, where its data stands among the arguments, and whether it changes anything at all. */
const first = { paths: (args) => [pathOf(args[0])] };
const both = { paths: (args) => [args[0], args[1]] };
const withData = { ...first, data: 1 };
const opening = { ...first, changes: (args) => writes(args[1]) };
const table = {
  open: opening,
  mkdir: first,
  mkdtemp: first,
  rename: both,
  copyFile: { paths: (args) => [args[1]] },
  cp: { paths: (args) => [args[1]] },
  link: both,
  symlink: { paths: (args) => [args[1]] },
  unlink: first,
  rmdir: first,
  rm: first,
  chmod: first,
  truncate: first,
  ftruncate: first,
  fsync: first,
  fdatasync: first,
  write: withData,
  writev: withData,
  writeFile: withData,
  appendFile: withData,
};
const onHandle = { paths: (_args, self) => [byHandle.get(self)] };
const handleTable = {
  truncate: onHandle,
  sync: onHandle,
  datasync: onHandle,
  chmod: onHandle,
  write: { ...onHandle, data: 0 },
  writev: { ...onHandle, data: 0 },
  writeFile: { ...onHandle, data: 0 },
  appendFile: { ...onHandle, data: 0 },
};

function moment(name, shape, self, args) {
  if (shape.changes !== undefined && !shape.changes(args)) return "none";
  return count(name, shape.paths(args, self), shape.data !== undefined);
}

/** The same call with half of its bytes. */
function halved(shape, args) {
  const copy = [...args];
  const data = copy[shape.data];
  if (Array.isArray(data)) copy[shape.data] = [half(data[0])];
  else if (typeof data === "string" || ArrayBuffer.isView(data)) copy[shape.data] = half(data);
  else copy[shape.data] = firstHalf(data);
  // write(fd, buffer, offset, length): the length goes with the data.
  if (typeof copy[shape.data + 2] === "number") copy[shape.data + 2] = copy[shape.data].length;
  return copy;
}

async function* firstHalf(stream) {
  for await (const chunk of stream) {
    yield half(Buffer.from(chunk));
    return;
  }
}

/** Calls inside of a patched synchronous call (Node's writeFileSync calls openSync) are part of it. */
let depth = 0;

function patchSync(owner, name, shape) {
  const original = owner[name];
  if (original === undefined) return;
  owner[name] = function patched(...args) {
    const deadly = depth === 0 ? moment(name, shape, this, args) : "none";
    if (deadly === "before") die();
    depth += 1;
    try {
      const result = original.apply(this, deadly === "half" ? halved(shape, args) : args);
      if (name === "openSync") byNumber.set(result, args[0]);
      return result;
    } finally {
      depth -= 1;
      if (deadly !== "none") die();
    }
  };
}

function patchCallback(owner, name, shape) {
  const original = owner[name];
  const patched = function patched(...args) {
    const done = args.pop();
    const deadly = depth === 0 ? moment(name, shape, this, args) : "none";
    if (deadly === "before") die();
    original.call(this, ...(deadly === "half" ? halved(shape, args) : args), (error, ...results) => {
      if (deadly !== "none") die();
      if (name === "open" && !error) byNumber.set(results[0], args[0]);
      done(error, ...results);
    });
  };
  // util.promisify finds what it needs on the function itself.
  owner[name] = Object.defineProperties(patched, Object.getOwnPropertyDescriptors(original));
}

function patchPromise(owner, name, shape) {
  const original = owner[name];
  if (original === undefined) return;
  owner[name] = async function patched(...args) {
    const deadly = moment(name, shape, this, args);
    if (deadly === "before") die();
    try {
      const result = await original.apply(this, deadly === "half" ? halved(shape, args) : args);
      if (owner === promises && name === "open") byHandle.set(result, args[0]);
      return result;
    } finally {
      if (deadly !== "none") die();
    }
  };
}

if (process.argv[1]?.endsWith("dist/runtime/main.js")) {
  const handle = await promises.open(process.argv[1], "r");
  const handles = Object.getPrototypeOf(handle);
  await handle.close();
  for (const [name, shape] of Object.entries(handleTable)) patchPromise(handles, name, shape);
  for (const [name, shape] of Object.entries(table)) {
    if (fs[name] !== undefined) patchCallback(fs, name, shape);
    patchSync(fs, `${name}Sync`, shape);
    patchPromise(promises, name, shape);
  }
  const { spawn } = childProcess;
  childProcess.spawn = function patched(file, args, options) {
    const deadly = count("spawn", [join(options?.cwd ?? "/", ".")]);
    if (deadly === "before") die();
    const child = spawn.call(this, file, args, options);
    if (deadly !== "none") die();
    child.once("exit", () => {
      seenOutside = true;
    });
    return child;
  };
  syncBuiltinESMExports();
}

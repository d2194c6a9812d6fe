import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeProc } from "./fake-proc.ts";
import { memoryKiB, processStat } from "./process-files.ts";
import { createUsageSampler, mostOf } from "./usage-sampler.ts";

const onLinux = process.platform === "linux";
const quick = { firstMs: 30, everyMs: 30 };
const children: ChildProcess[] = [];
afterEach(() => {
  for (const { pid } of children.splice(0)) {
    try {
      process.kill(-(pid ?? 0), "SIGKILL");
    } catch {
      // gone by itself
    }
  }
});

/** Starts a shell script in a group of its own, and gives its pid once it has said that all is there. */
async function script(text: string, mark = "RUN=sampler-test"): Promise<number> {
  const [name = "", value = ""] = mark.split("=");
  const child = spawn("sh", ["-c", text], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
    env: { PATH: process.env.PATH, NODE: process.execPath, [name]: value },
  });
  children.push(child);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child.pid ?? 0;
}

/** A node process that holds so many MiB, and says so. */
const holding = (mib: number) =>
  `$NODE -e 'const held = Buffer.alloc(${mib} << 20, 1); console.log(held.length); setInterval(() => held, 9999)'`;

describe.runIf(onLinux)("the peaks of a turn", () => {
  test("are those of its whole tree: processes, threads, descriptors, memory", async () => {
    const leader = await script(`sleep 31 & sleep 32 & exec 7</dev/null 8</dev/null; ${holding(200)}; :`);
    const end = createUsageSampler(quick).watch(leader, "RUN=sampler-test");
    await sleep(500);
    const peaks = end();
    expect(peaks?.peak_processes).toBe(4);
    expect(peaks?.peak_memory_mib).toBeGreaterThan(200);
    expect(peaks?.peak_memory_mib).toBeLessThan(300);
    // node alone has half a dozen.
    expect(peaks?.peak_threads).toBeGreaterThan(8);
    // Each has at least its three.
    expect(peaks?.peak_descriptors).toBeGreaterThanOrEqual(4 * 3);
    expect(peaks?.peak_descriptors).toBeLessThan(100);
  });

  test("stay when what caused them is gone, and grow when more comes", async () => {
    const leader = await script(`sleep 31 & two=$!; echo; sleep 0.7; kill $two; wait; ${holding(150)}; :`);
    const end = createUsageSampler(quick).watch(leader, "RUN=sampler-test");
    await new Promise((resolve) => children.at(-1)?.stdout?.once("data", resolve));
    await sleep(400);
    const peaks = end();
    expect(peaks?.peak_processes).toBe(3);
    expect(peaks?.peak_memory_mib).toBeGreaterThan(150);
  });

  test("count who moved to a session of its own and was left by its parent", async () => {
    const leader = await script("(setsid sleep 31 &); sleep 0.2; echo; sleep 32; :", "RUN=sampler-setsid");
    const end = createUsageSampler(quick).watch(leader, "RUN=sampler-setsid");
    await sleep(500);
    expect(end()?.peak_processes).toBe(3);
    for (const pid of await readdir("/proc")) {
      const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
      if (environment.includes("RUN=sampler-setsid")) process.kill(Number(pid), "SIGKILL");
    }
  });

  test("are each turn's own, however many share a sampler", async () => {
    const sampler = createUsageSampler(quick);
    const small = await script("echo; sleep 31; :", "RUN=small");
    const large = await script(`sleep 31 & sleep 32 & ${holding(100)}; :`, "RUN=large");
    const ends = [sampler.watch(small, "RUN=small"), sampler.watch(large, "RUN=large")];
    await sleep(500);
    const [one, other] = ends.map((end) => end());
    expect([one?.peak_processes, other?.peak_processes]).toEqual([2, 4]);
    expect(one?.peak_memory_mib).toBeLessThan(20);
    expect(other?.peak_memory_mib).toBeGreaterThan(100);
  });

  test("are not known of a turn that was over at once", async () => {
    const leader = await script("echo; sleep 31; :");
    const sampler = createUsageSampler();
    const longer = sampler.watch(leader, "RUN=sampler-test");
    await sleep(250);
    const end = sampler.watch(process.pid, "RUN=young");
    // The other one is looked at meanwhile; this one is too young.
    await sleep(120);
    expect(end()).toBeNull();
    await sleep(500);
    expect(longer()).toMatchObject({ peak_processes: 2 });
  });

  test("are not known of a process that is gone", async () => {
    const end = createUsageSampler(quick).watch(2 ** 22 + 1, "RUN=nobody");
    await sleep(250);
    expect(end()).toBeNull();
  });
});

describe.runIf(onLinux)("what the kernel says", () => {
  test("counts memory that processes share once: a share is less than what is resident", async () => {
    const leader = await script(`exec ${holding(50)}`);
    await sleep(100);
    const status = await readFile(`/proc/${leader}/status`, "latin1");
    const resident = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
    const share = await memoryKiB("/proc", leader);
    expect(share).toBeGreaterThan(50 * 1024);
    // This test's own node has the same program in memory.
    expect(share).toBeLessThan(resident - 1024);
  });

  test("is read rightly of a program with any name", async () => {
    const folder = await mkdtemp(join(tmpdir(), "names-"));
    try {
      await symlink("/bin/sleep", join(folder, "a) R 1 (b"));
      const leader = await script(`echo; exec "${folder}/a) R 1 (b" 31`);
      await sleep(100);
      const stat = processStat("/proc", leader);
      expect(await readFile(`/proc/${leader}/comm`, "utf8")).toBe("a) R 1 (b\n");
      expect(stat).toMatchObject({ parent: process.pid, group: leader, session: leader, threads: 1 });
      expect(stat?.residentPages).toBeGreaterThan(0);
      expect(processStat("/proc", 2 ** 22 + 1)).toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("where the kernel hides something", () => {
  let proc: ReturnType<typeof fakeProc>;
  beforeEach(() => {
    proc = fakeProc();
  });
  afterEach(() => proc.remove());

  test("descriptors are unknown, and memory is what is resident", async () => {
    proc.put(100, { threads: 5, files: { "fd/": "", status: "Name:\tcli\nVmRSS:\t  2048 kB\n" } });
    proc.put(101, { parent: 100, threads: 2, files: { status: "VmRSS:\t  1025 kB\n" } });
    const end = createUsageSampler({ proc: proc.folder, ...quick }).watch(100, "RUN=a");
    await sleep(250);
    expect(end()).toEqual({
      peak_memory_mib: 4,
      peak_processes: 2,
      peak_threads: 7,
      peak_descriptors: null,
    });
  });

  test("the share of memory goes before what is resident", async () => {
    const files = { "fd/": "", status: "VmRSS:\t4096 kB\n", smaps_rollup: "Rss: 4096 kB\nPss:   1024 kB\n" };
    proc.put(100, { files });
    const end = createUsageSampler({ proc: proc.folder, ...quick }).watch(100, "RUN=a");
    await sleep(250);
    expect(end()).toMatchObject({ peak_memory_mib: 1, peak_descriptors: 0 });
  });

  test("all of /proc, nothing is known and nothing breaks", async () => {
    const sampler = createUsageSampler({ proc: "/nowhere", ...quick });
    const end = sampler.watch(process.pid, "RUN=a");
    await sleep(250);
    expect(end()).toBeNull();
  });
});

test("the peaks of several turns are the greatest of each", () => {
  const a = { peak_memory_mib: 10, peak_processes: 5, peak_threads: 9, peak_descriptors: null };
  const b = { peak_memory_mib: 20, peak_processes: 2, peak_threads: 9, peak_descriptors: 7 };
  const both = { peak_memory_mib: 20, peak_processes: 5, peak_threads: 9, peak_descriptors: 7 };
  expect([mostOf(a, b), mostOf(b, a)]).toEqual([both, both]);
  expect([mostOf(null, a), mostOf(a, null), mostOf(null, null)]).toEqual([a, a, null]);
});

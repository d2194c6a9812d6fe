import { describe, expect, test } from "vitest";
import { hostFiles, limitsFile, probeFiles } from "./fake-root.ts";
import { probeCapacity } from "./probe.ts";

const GIB = 1024 ** 3;
const unifiedMount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

describe("a plain host", () => {
  test("reports its own cores, memory and limits", async () => {
    expect(await probeFiles(hostFiles)).toMatchObject({
      cpu: { cores: 8, source: "host" },
      memory: { limit_bytes: 32 * GIB, available_bytes: 16 * GIB, source: "host" },
      pids: { limit: null, used: null, source: "rlimit" },
      fds: { limit: 1024, source: "rlimit" },
      problems: [],
    });
  });

  test("bounds processes by RLIMIT_NPROC or the kernel's maximum, whichever is less", async () => {
    const kernel = { "proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "192730\n" };
    expect((await probeFiles({ ...hostFiles, ...kernel })).pids).toMatchObject({
      limit: 32768,
      source: "kernel",
    });
    const tight = { ...hostFiles, ...kernel, "proc/self/limits": limitsFile("unlimited", "4096") };
    expect(await probeFiles(tight)).toMatchObject({
      pids: { limit: 4096, source: "rlimit" },
      fds: { limit: null },
    });
  });

  test("survives JSON unchanged", async () => {
    const result = await probeFiles(hostFiles);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });
});

describe("cgroup v2", () => {
  const own = "sys/fs/cgroup/pods/pod1/app";
  const nested = {
    ...hostFiles,
    "proc/self/cgroup": "0::/pods/pod1/app\n",
    "proc/self/mountinfo": unifiedMount,
    [`${own}/cpu.max`]: "max 100000\n",
    [`${own}/memory.max`]: `${8 * GIB}\n`,
    [`${own}/memory.high`]: "max\n",
    [`${own}/memory.current`]: `${3 * GIB}\n`,
    [`${own}/memory.stat`]: `anon 5\ninactive_file ${2 * GIB}\nactive_file 7\n`,
    [`${own}/pids.max`]: "max\n",
    [`${own}/pids.current`]: "12\n",
    "sys/fs/cgroup/pods/pod1/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/pods/pod1/pids.max": "300\n",
    "sys/fs/cgroup/pods/pod1/pids.current": "40\n",
  };

  test("takes the tightest level on the way up, and does not count inactive page cache as used", async () => {
    expect(await probeFiles(nested)).toMatchObject({
      cpu: { cores: 1.5, source: "cgroup2" },
      memory: { limit_bytes: 8 * GIB, used_bytes: GIB, available_bytes: 7 * GIB, source: "cgroup2" },
      pids: { limit: 300, used: 40, source: "cgroup2" },
    });
  });

  test("a full parent bounds a roomy child", async () => {
    const full = {
      "sys/fs/cgroup/pods/memory.max": `${20 * GIB}\n`,
      "sys/fs/cgroup/pods/memory.current": `${18 * GIB}\n`,
    };
    expect((await probeFiles({ ...nested, ...full })).memory).toMatchObject({
      limit_bytes: 20 * GIB,
      available_bytes: 2 * GIB,
    });
  });

  test("memory.high bounds before memory.max", async () => {
    const { memory } = await probeFiles({ ...nested, [`${own}/memory.high`]: `${4 * GIB}\n` });
    expect(memory).toMatchObject({ limit_bytes: 4 * GIB, available_bytes: 3 * GIB });
  });

  test("a limit above what the host has left is not believed", async () => {
    const { memory, cpu } = await probeFiles({
      ...nested,
      [`${own}/memory.max`]: `${64 * GIB}\n`,
      "sys/fs/cgroup/pods/pod1/cpu.max": "3200000 100000\n",
    });
    expect(memory).toMatchObject({ available_bytes: 16 * GIB, source: "host" });
    expect(cpu).toEqual({ cores: 8, source: "host" });
  });

  test("a container sees its own cgroup as the mount", async () => {
    const inside = { "sys/fs/cgroup/memory.max": `${GIB}\n`, "sys/fs/cgroup/memory.current": "0\n" };
    const mounted = { ...hostFiles, ...inside, "proc/self/mountinfo": unifiedMount };
    for (const path of ["/", "/system.slice/docker-abc.scope", "/../other"]) {
      const { memory } = await probeFiles({ ...mounted, "proc/self/cgroup": `0::${path}\n` });
      expect(memory).toMatchObject({ limit_bytes: GIB, source: "cgroup2" });
    }
  });

  test("is found at its usual place when mountinfo is hidden", async () => {
    const { "proc/self/mountinfo": _, ...hidden } = nested;
    expect((await probeFiles(hidden)).cpu).toEqual({ cores: 1.5, source: "cgroup2" });
  });
});

test("without /proc only the cores are known, and each missing section is explained", async () => {
  const { problems, ...sections } = await probeFiles({});
  expect(sections).toEqual({ cpu: { cores: 8, source: "host" }, memory: null, pids: null, fds: null });
  expect(problems).toHaveLength(3);
});

test("reads the machine it runs on without failing", async () => {
  const { cpu } = await probeCapacity();
  expect(cpu?.cores).toBeGreaterThan(0);
});

import { describe, expect, test } from "vitest";
import { hostFiles, probeFiles } from "./fake-root.ts";

const GIB = 1024 ** 3;
const V1_NO_LIMIT = "9223372036854771712\n";

describe("cgroup v1", () => {
  const files = {
    ...hostFiles,
    "proc/self/cgroup":
      "9:name=systemd:/docker/abc\n8:pids:/docker/abc\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n",
    "proc/self/mountinfo": [
      "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct",
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:9 - cgroup cgroup rw,memory",
      "39 31 0:36 /docker/abc /sys/fs/cgroup/my\\040pids ro,nosuid - cgroup cgroup rw,pids",
    ].join("\n"),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": `${4 * GIB}\n`,
    "sys/fs/cgroup/memory/memory.usage_in_bytes": `${2 * GIB}\n`,
    "sys/fs/cgroup/memory/memory.stat": `inactive_file 1\nhierarchical_memory_limit ${4 * GIB}\ntotal_inactive_file ${GIB}\n`,
    "sys/fs/cgroup/my pids/pids.max": "512\n",
    "sys/fs/cgroup/my pids/pids.current": "9\n",
  };

  test("a container whose own cgroup is the mount's root", async () => {
    expect(await probeFiles(files)).toMatchObject({
      cpu: { cores: 0.5, source: "cgroup1" },
      memory: { limit_bytes: 4 * GIB, used_bytes: GIB, available_bytes: 3 * GIB, source: "cgroup1" },
      pids: { limit: 512, used: 9, source: "cgroup1" },
    });
  });

  test("a path that is not below the mount falls back to the mount", async () => {
    const elsewhere = files["proc/self/mountinfo"].replaceAll(" /docker/abc ", " / ");
    expect((await probeFiles({ ...files, "proc/self/mountinfo": elsewhere })).memory).toMatchObject({
      limit_bytes: 4 * GIB,
    });
  });

  test("the kernel's way of writing no limit is no limit", async () => {
    const open = await probeFiles({
      ...files,
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NO_LIMIT,
      "sys/fs/cgroup/memory/memory.stat": `hierarchical_memory_limit ${V1_NO_LIMIT}`,
      "sys/fs/cgroup/my pids/pids.max": "max\n",
    });
    expect(open).toMatchObject({
      cpu: { source: "host" },
      memory: { source: "host" },
      pids: { limit: null },
    });
  });

  test("an ancestor's limit that the container cannot see still counts", async () => {
    const { memory } = await probeFiles({
      ...files,
      "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NO_LIMIT,
      "sys/fs/cgroup/memory/memory.stat": `hierarchical_memory_limit ${3 * GIB}\ntotal_inactive_file 0\n`,
    });
    expect(memory).toMatchObject({ limit_bytes: 3 * GIB, available_bytes: GIB });
  });
});

test("a hybrid setup takes each controller from the tree that has it", async () => {
  const hybrid = await probeFiles({
    ...hostFiles,
    "proc/self/cgroup": "4:memory:/work\n0::/work\n",
    "proc/self/mountinfo": [
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    ].join("\n"),
    "sys/fs/cgroup/memory/work/memory.limit_in_bytes": `${2 * GIB}\n`,
    "sys/fs/cgroup/memory/work/memory.usage_in_bytes": `${GIB}\n`,
    "sys/fs/cgroup/unified/work/cpu.max": "200000 100000\n",
  });
  expect(hybrid).toMatchObject({
    cpu: { cores: 2, source: "cgroup2" },
    memory: { limit_bytes: 2 * GIB, available_bytes: GIB, source: "cgroup1" },
  });
});

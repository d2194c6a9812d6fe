import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import listEngines from "../functions/v1/engines/index.get.ts";
import cancelJob from "../functions/v1/jobs/[request_id]/cancel.post.ts";
import postJob from "../functions/v1/jobs/index.post.ts";
import { bubblewrapWorks } from "../lib/agents/jail/jail.test-support.ts";
import { runPaths } from "../lib/runs/paths.ts";
import type { Harness } from "./harness.ts";
import { processesOf } from "./marked-processes.ts";
import { attempting, type SpiedServer, startSpied } from "./sandbox-spy.ts";

const works = bubblewrapWorks("tests/sandbox.test.ts");

let harness: Harness;
afterEach(() => harness?.close());

let carryOut: SpiedServer["carryOut"];
async function start(turn: string, env: Record<string, string> = {}) {
  ({ harness, carryOut } = await startSpied({ turn, env }));
}

const folderOf = (id: string) => runPaths(harness.config.dataDir, id);
const found = async (id: string) =>
  JSON.parse(await readFile(join(folderOf(id).artifacts, "found.json"), "utf8"));

const metaOf = async (id: string) =>
  JSON.parse(await readFile(join(folderOf(id).root, "turn-1/meta.json"), "utf8"));

describe.skipIf(!works)("an agent in the runner's sandbox", () => {
  test("reads no other run and none of the server's keys, and writes nothing but its workspace", async () => {
    await start(attempting, { ANTHROPIC_API_KEY: "sk-ant-of-the-server" });
    const { folder } = harness;
    const secret = "for nobody else";
    const put = async (path: string) => {
      await mkdir(join(path, ".."), { recursive: true });
      await writeFile(path, secret);
      return path;
    };
    const env = await put(join(folder, ".env"));
    const ssh = await put(join(folder, "home/.ssh/id_ed25519"));
    const claude = await put(join(folder, "home/.claude/.credentials.json"));
    const own = await put(join(folder, "home/.codex/auth.json"));
    const oldSession = await put(join(folder, "home/.codex/sessions/2026/old.jsonl"));
    const { id: other } = await carryOut();
    const otherRun = await put(join(folderOf(other).workspace, "notes.txt"));
    const secrets = await put(join(harness.config.dataDir, "run_secrets/x.env.json"));
    const reading = { env, ssh, claude, oldSession, otherRun, secrets };
    const writing = {
      data: join(harness.config.dataDir, "escape"),
      run: join(folderOf(other).workspace, "escape"),
      home: join(folder, "escape"),
      system: "/usr/local/escape",
      prefix: join(folder, "npm/bin/escape"),
    };
    const attempts = {
      ...Object.fromEntries(Object.entries(reading).map(([name, path]) => [`read ${name}`, `cat '${path}'`])),
      ...Object.fromEntries(
        Object.entries(writing).map(([name, path]) => [`write ${name}`, `echo x > '${path}'`]),
      ),
      "read any environment":
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c -e sk-ant-of-the-[s]erver -e [S]ECRET_OF",
      "see the server": `kill -0 ${process.pid}`,
      "signal the server": `kill -URG ${process.pid}`,
      "find the server": `grep -l [v]itest /proc/[0-9]*/cmdline`,
      "change the kernel": "echo x > /proc/sys/kernel/core_pattern",
      unmount: `umount '${harness.config.dataDir}'`,
      "unmount as root of its own": `unshare -Urm umount '${harness.config.dataDir}'`,
      "own login": `cat '${own}'`,
      "write its workspace": "echo x > written && cat written",
      "write its temporary folders":
        'echo x > "$TMPDIR/a" && cat /tmp/a && echo y > /tmp/b && cat "$TMPDIR/b"',
      "keep something in HOME": 'echo x > "$HOME/kept" && cat "$HOME/kept"',
      "renew its login": `echo renewed > '${own}'`,
    };
    const { id, job } = await carryOut({
      runtime_options: { no_cache: true, env: { ATTEMPTS: JSON.stringify(attempts) } },
    });
    expect(job).toMatchObject({ status: "succeeded", warnings: [] });
    expect(await metaOf(id)).toMatchObject({ jailed: true });
    const results = await found(id);
    const allowed = [
      "own login",
      "write its workspace",
      "write its temporary folders",
      "keep something in HOME",
      "renew its login",
    ];
    const succeeded = Object.keys(results).filter((name) => results[name].status === 0);
    expect(succeeded, JSON.stringify(results, null, 1)).toEqual(allowed);
    const { "own login": _own, ...others } = results;
    expect(JSON.stringify(others)).not.toContain(secret);
    expect(await readFile(join(folderOf(id).workspace, "written"), "utf8")).toBe("x\n");
    expect(await readFile(own, "utf8")).toBe("renewed\n");
    for (const path of Object.values(writing)) await expect(readFile(path)).rejects.toThrow(/ENOENT/);
    await expect(readFile(join(folder, "home/kept"))).rejects.toThrow(/ENOENT/);
  });

  test("is ended whole, after its grace", async () => {
    await start(`
process.on("SIGTERM", () => { require("node:fs").writeFileSync("last-words", "x"); process.exit(0); });
require("node:child_process").spawn("sleep", ["60"], { detached: true, stdio: "ignore" }).unref();
console.log(lines.slice(0, 3).join("\\n"));
require("node:fs").writeFileSync("begun", "x");
setTimeout(() => {}, 60_000);`);
    const { body } = await harness.submit({ skill_id: "probe" });
    const { workspace } = folderOf(body.request_id);
    await expect
      .poll(() => readFile(join(workspace, "begun"), "utf8").catch(() => null), { timeout: 20_000 })
      .toBe("x");
    await harness.call(cancelJob, { params: { request_id: body.request_id } });
    expect(await harness.ended(body.request_id)).toMatchObject({ status: "canceled" });
    expect(await readFile(join(workspace, "last-words"), "utf8")).toBe("x");
    expect(await processesOf(body.request_id)).toEqual([]);
  });

  test("what it leaves running ends with its turn, and does not hold it up", async () => {
    await start(`
require("node:child_process").spawn("sleep", ["60"], { detached: true, stdio: "inherit" }).unref();
end();`);
    const began = Date.now();
    const { id, job } = await carryOut();
    expect(job).toMatchObject({ status: "succeeded" });
    expect(Date.now() - began).toBeLessThan(5_000);
    expect(await processesOf(id)).toEqual([]);
  });

  test("what left its group, its session and its environment behind is gone by the time that its answer is read", async () => {
    const mark = `left-by-${process.pid}`;
    await start(`
require("node:child_process").spawn("env", ["-i", "/bin/sh", "-c", "while :; do echo > alive; done", "${mark}"], { detached: true, stdio: "ignore" }).unref();
while (!require("node:fs").existsSync("alive"));
end();`);
    const { id, job } = await carryOut();
    expect(job).toMatchObject({ status: "succeeded" });
    expect(existsSync(join(folderOf(id).workspace, "alive"))).toBe(true);
    const { stdout } = spawnSync("/bin/sh", ["-c", `grep -lzx ${mark} /proc/[0-9]*/cmdline`], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
  });

  test("its exit code is told as without", async () => {
    await start("process.exit(7);");
    expect((await carryOut()).job.error).toMatchObject({
      code: "PROCESS_EXIT_NONZERO",
      message: expect.stringContaining("code 7"),
    });
  });

  test("is shown for every engine", async () => {
    await start("end();", { SKILL_RUNNER_SANDBOX: "required" });
    const { body } = await harness.call(listEngines);
    expect(body.sandbox).toMatchObject({ setting: "required", works: true });
    expect(body.engines[0]).toMatchObject({
      engine: "codex",
      sandbox: "on",
      sandbox_by: ["bubblewrap", "cli"],
    });
  });
});

describe("where bubblewrap does not work", () => {
  const nowhere = async (setting: string) => {
    // Everything a job needs, but no bwrap.
    const bin = spawnSync(
      "sh",
      ["-c", 'd=$(mktemp -d); for p in node env sh; do ln -s "$(command -v $p)" "$d/$p"; done; echo "$d"'],
      { encoding: "utf8" },
    ).stdout.trim();
    await start("report({}); end();", { SKILL_RUNNER_SANDBOX: setting, PATH: bin });
  };

  test("auto: jobs run without, and it is told", async () => {
    await nowhere("auto");
    const { job, id } = await carryOut();
    expect(job).toMatchObject({
      status: "succeeded",
      warnings: [
        { code: "SANDBOX_UNAVAILABLE", message: expect.stringContaining("install the package bubblewrap") },
      ],
    });
    expect(await metaOf(id)).toMatchObject({ jailed: false });
    const { body } = await harness.call(listEngines);
    expect(body.sandbox).toEqual({
      setting: "auto",
      works: false,
      reason: expect.stringContaining("install the package bubblewrap"),
    });
    expect(body.engines[0]).toMatchObject({ sandbox: "on", sandbox_by: ["cli"] });
  });

  test("required: jobs are refused, with what to do", async () => {
    await nowhere("required");
    const { status, body } = await harness.call(postJob, { body: { skill_id: "probe" } });
    expect(status).toBe(503);
    expect(body).toMatchObject({
      code: "SANDBOX_REQUIRED",
      detail: expect.stringContaining("install the package bubblewrap"),
    });
    const { engines } = (await harness.call(listEngines)).body;
    expect(engines[0]).toMatchObject({ sandbox: "unavailable", sandbox_by: [] });
  });
});

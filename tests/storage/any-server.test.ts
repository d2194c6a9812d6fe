import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { processesOf } from "../marked-processes.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";
import { answering, installStandIn, type StandInTurn, setScenario } from "../stand-in.ts";
import { backends } from "./backends.ts";
import type { StorageServer } from "./servers.ts";

const skills = join(import.meta.dirname, "..", "..", "skills");

const reporting: StandInTurn = {
  lines: answering({ title: "The report", key_points: ["one"], report: "artifacts/report.md" }),
  files: { "artifacts/report.md": "# The report\n", "notes/deep/a.md": "# notes\n" },
};

describe.each(backends)("on %s", (_name, launch) => {
  let storage: StorageServer;
  let folder: string;
  const running: RunningServer[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "any-server-"));
    storage = await launch();
    await installStandIn(join(folder, "npm"), [reporting]);
    await mkdir(join(folder, "skills"));
    await cp(join(skills, "report-from-file"), join(folder, "skills", "report-from-file"), {
      recursive: true,
    });
  }, 120_000);
  afterAll(async () => {
    for (const server of running) await server.crash().catch(() => undefined);
    await storage.remove();
    await rm(folder, { recursive: true, force: true });
  });
  const start = async (name: string, url = storage.url) => {
    const server = await startBuiltServer({
      HOME: join(folder, "home"),
      NPM_CONFIG_PREFIX: join(folder, "npm"),
      SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
      SKILL_RUNNER_DATA_DIR: join(folder, name),
      SKILL_RUNNER_STORAGE: url,
      OPENAI_API_KEY: "sk-none",
      // The stand-in writes beside itself.
      SKILL_RUNNER_SANDBOX: "off",
      ...storage.environment,
    });
    running.push(server);
    return server;
  };
  const text = async (server: RunningServer, path: string) => {
    const response = await fetch(`${server.url}/v1${path}`);
    const body = Buffer.from(await response.arrayBuffer()).toString("latin1");
    return { status: response.status, body };
  };

  const send = async (server: RunningServer) => {
    const job = { skill_id: "report-from-file", engine: "codex" };
    const { status, body } = await server.json("POST", "/v1/jobs", job);
    expect(status).toBe(200);
    const form = new FormData();
    form.set(
      "file",
      new Blob([new Uint8Array(makeZip([{ name: "source.md", content: "# Facts\n" }]))]),
      "in.zip",
    );
    const upload = await fetch(`${server.url}/v1/jobs/${body.request_id}/upload`, {
      method: "POST",
      body: form,
    });
    expect(upload.status).toBe(200);
    return { id: String(body.request_id), answer: (await upload.json()) as { cache_hit: boolean } };
  };
  const ends = (server: RunningServer, id: string) =>
    expect
      .poll(async () => (await server.json("GET", `/v1/jobs/${id}`)).body.status, { timeout: 30_000 })
      .toBe("succeeded");

  test("a machine that is lost loses no finished job: another server has its result, files, events and bundle", async () => {
    const first = await start("one");
    const { id } = await send(first);
    await ends(first, id);
    const of = [
      "",
      "/result",
      "/artifacts",
      "/artifacts/artifacts/report.md",
      "/files",
      "/logs",
      "/chat/history",
    ];
    const paths = [...of, "/events/history", "/events"].map((path) => `/jobs/${id}${path}`);
    const before = new Map<string, unknown>();
    for (const path of paths) before.set(path, await text(first, path));
    await first.crash();

    const second = await start("two");
    for (const path of paths) expect([path, await text(second, path)]).toEqual([path, before.get(path)]);
    for (const bundle of ["", "/debug"]) {
      const { status, body } = await text(second, `/jobs/${id}/bundle${bundle}`);
      expect(status).toBe(200);
      expect(body.startsWith("PK")).toBe(true);
      expect(body).toContain("artifacts/report.md");
      expect(body).not.toContain(".kept.json");
    }
    // It is a whole job there: it answers the next like it, and goes when it is told to.
    const again = await send(second);
    expect(again.answer.cache_hit).toBe(true);
    expect((await text(second, `/jobs/${again.id}/artifacts/artifacts/report.md`)).body).toBe(
      "# The report\n",
    );
    expect((await second.json("DELETE", `/v1/jobs/${id}`)).status).toBeLessThan(300);
    expect((await text(second, `/jobs/${id}/result`)).status).toBe(404);
    expect(await second.stop()).toBe(0);

    const third = await start("three");
    expect((await text(third, `/jobs/${id}/result`)).status).toBe(404);
    expect((await text(third, `/jobs/${again.id}/result`)).status).toBe(200);
    expect(await third.stop()).toBe(0);
  });

  test("a machine that is lost loses no job in hand: another server has its upload, and carries it out", async () => {
    await setScenario(join(folder, "npm"), [{ waitBefore: 60_000 }]);
    const first = await start("four");
    await first.json("POST", "/v1/jobs/cleanup");
    const sent = [await send(first), await send(first)].map(({ id }) => id);
    await expect
      .poll(async () => (await processesOf(...sent)).length, { timeout: 20_000 })
      .toBeGreaterThan(0);
    await first.crash();
    for (const pid of await processesOf(...sent)) process.kill(pid, "SIGKILL");
    await setScenario(join(folder, "npm"), [reporting]);

    const second = await start("five");
    for (const id of sent) {
      await ends(second, id);
      const { body } = await text(second, `/jobs/${id}/files`);
      expect(body).toContain("uploads/source.md");
    }
    expect(await second.stop()).toBe(0);
  });

  test("a storage that goes away while a job ends costs no answer", async () => {
    await setScenario(join(folder, "npm"), [{ ...reporting, waitBefore: 2_000 }]);
    const server = await start("nine");
    await server.json("POST", "/v1/jobs/cleanup");
    const { id } = await send(server);
    await expect
      .poll(async () => (await server.json("GET", `/v1/jobs/${id}`)).body.status, { timeout: 20_000 })
      .toBe("running");
    await storage.kill();
    // By now it has come to its end, and that could not be stored.
    await sleep(8_000);
    await storage.start();
    await ends(server, id);
    expect((await text(server, `/jobs/${id}/artifacts/artifacts/report.md`)).body).toBe("# The report\n");
    await setScenario(join(folder, "npm"), [reporting]);
    expect(await server.stop()).toBe(0);
  });

  test("skill-runner storage copy takes all from files into it, and back, while no server is at work", async () => {
    const other = await launch();
    try {
      const onFiles = await start("six", "fs:");
      const { id } = await send(onFiles);
      await ends(onFiles, id);
      const paths = ["", "/result", "/artifacts/artifacts/report.md", "/events/history", "/logs"].map(
        (path) => `/jobs/${id}${path}`,
      );
      const before: unknown[] = [];
      for (const path of paths) before.push(await text(onFiles, path));
      const copy = (name: string, ...args: string[]) =>
        copyOf({ SKILL_RUNNER_DATA_DIR: join(folder, name), ...storage.environment }, args);
      expect(await copy("six", "fs:", other.url)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("Another server is at work"),
      });
      expect(await onFiles.stop()).toBe(0);
      const there = await copy("six", "fs:", other.url);
      expect(there).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/files of 1 jobs\. Set SKILL_RUNNER/),
      });
      expect(await copy("six", "fs:", other.url)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("Give it an empty one, or --overwrite."),
      });
      expect((await copy("six", "--overwrite", "fs:", other.url)).code).toBe(0);

      const onServer = await start("seven", other.url);
      for (const [i, path] of paths.entries()) expect(await text(onServer, path)).toEqual(before[i]);
      expect((await send(onServer)).answer.cache_hit).toBe(true);
      expect(await onServer.stop()).toBe(0);

      expect(await copy("eight", other.url, "fs:")).toMatchObject({ code: 0 });
      await other.kill();
      const back = await start("eight", "fs:");
      for (const [i, path] of paths.entries()) expect(await text(back, path)).toEqual(before[i]);
      expect(await back.stop()).toBe(0);
    } finally {
      await other.remove();
    }
  });
});

/** Runs the built program as a user does. */
async function copyOf(env: Record<string, string>, args: readonly string[]) {
  const program = join(import.meta.dirname, "..", "..", "dist", "runtime", "cli.js");
  const child = spawn(process.execPath, [program, "storage", "copy", ...args], {
    env: { PATH: process.env.PATH, ...env },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

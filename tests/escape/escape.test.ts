import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fromBufferPromise } from "yauzl";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { runPaths } from "../../lib/runs/paths.ts";
import { form, type HttpAnswer, type HttpServer, startHttp } from "../http/http-server.ts";
import { answering, type StandInTurn } from "../stand-in.ts";
import { artifactPaths, bodies, canary, environments, headers, oddHeaders, prompts, zips } from "./corpus.ts";

const source = makeZip([{ name: "source.md", content: "# Facts\n" }]);
const answer = { title: "T", key_points: ["a"], report: "artifacts/report.md" };

const reporting = { lines: answering(answer), files: { "artifacts/report.md": "# Report\n" } };

let server: HttpServer;
/** Everything that was stored when the test began. */
let before: string[];
beforeAll(async () => {
  server = await startHttp({
    env: { SKILL_RUNNER_UPLOAD_MAX_TOTAL_BYTES: "1000000" },
  });
  const { folder, config } = server.harness;
  for (const at of [folder, config.dataDir]) await writeFile(join(at, "secret.txt"), canary);
});
afterAll(() => server.close());
beforeEach(async () => {
  await server.harness.scenario([reporting]);
  before = await outside();
});
afterEach(async () => {
  expect(await outside()).toEqual(before);
  expect(server.faults).toEqual([]);
});

/** Folders that the server makes below its data folder. */
const own = ["incoming", "runs", "run_secrets", "server.sock", "skill_installs", "state"];

/** What lies beside and above the server's own folders, where something that escapes would be. */
async function outside(): Promise<string[]> {
  const { folder, config } = server.harness;
  const inData = (await readdir(config.dataDir)).filter((name) => !own.includes(name));
  const strays = (await readdir(tmpdir())).filter((name) => name === "up.txt" || name === "escaped");
  const skills = (await readdir(config.skillsDir)).filter((name) => !name.startsWith("."));
  return [...inData, ...(await readdir(folder)), ...skills, ...strays].sort();
}

/** A job that has ended well. */
async function ended(): Promise<string> {
  const id = await server.job({ skill_id: "report-from-file" });
  expect((await server.upload(id, source)).status).toBe(200);
  expect((await server.harness.ended(id)).status).toBe("succeeded");
  return id;
}

/** A job whose agent waits for its cue in a workspace that is laid out; its later turns do `then`. */
async function atWork(then: StandInTurn) {
  await server.harness.scenario([{ onCue: true, lines: [] }, then]);
  const id = await server.job({ skill_id: "report-from-file", runtime_options: { no_cache: true } });
  await server.upload(id, source);
  await server.harness.reaches(id, "running");
  const paths = runPaths(server.harness.config.dataDir, id);
  await expect.poll(() => readdir(paths.artifacts).catch(() => null)).toEqual([]);
  return { id, ...paths };
}

function expectHarmless({ status, bytes }: HttpAnswer): void {
  expect(status).toBeLessThan(500);
  const text = bytes.toString("latin1");
  expect(text).not.toContain(canary);
  expect(text).not.toContain(server.harness.folder);
}

/** All that an answer holds, zips unpacked. */
async function readable({ bytes, headers }: HttpAnswer): Promise<string> {
  if (headers["content-type"] !== "application/zip") return bytes.toString("latin1");
  const zip = await fromBufferPromise(bytes, { lazyEntries: true });
  const parts: Buffer[] = [];
  for await (const entry of zip.eachEntry()) {
    parts.push(Buffer.from(entry.fileName));
    for await (const chunk of await zip.openReadStreamPromise(entry)) parts.push(chunk);
  }
  expect(parts.length).toBeGreaterThan(2);
  return Buffer.concat(parts).toString("latin1");
}

function expectRefused(given: HttpAnswer): void {
  expectHarmless(given);
  expect(given.status).toBeGreaterThanOrEqual(400);
  expect(given.headers["content-type"]).toBe("application/problem+json");
}

describe("a zip with", () => {
  test.each(Object.entries(zips))("%s", async (_name, entries) => {
    const zip = makeZip([{ name: "source.md", content: "# Facts\n" }, ...entries]);
    const id = await server.job({ skill_id: "report-from-file" });
    const stored = await server.stored();
    expectRefused(await server.upload(id, zip));
    expect(await server.stored()).toEqual(stored);
    const { body } = await server.send("POST", "/v1/skill-packages/install", form(zip));
    await expect
      .poll(async () => (await server.get(`/v1/skill-packages/${body.request_id}`)).body.status)
      .toBe("failed");
    // The job waits on, and takes a good one.
    expect((await server.upload(id, source)).status).toBe(200);
    await server.harness.ended(id);
  });
});

describe("an agent that leaves links and pipes", () => {
  test("gives nothing away by them: not as an artifact, a bundle, a log or a list of files", async () => {
    const { id, workspace, artifacts, root } = await atWork(reporting);
    const { folder } = server.harness;
    await symlink(join(folder, "secret.txt"), join(artifacts, "link"));
    await symlink(folder, join(artifacts, "folder-link"));
    await symlink("../../../../../../secret.txt", join(workspace, "relative-link"));
    await symlink(join(folder, "secret.txt"), join(root, "stolen.log"));
    // Where a CLI keeps what is its own when it is sandboxed.
    await mkdir(join(root, "home", ".codex"), { recursive: true });
    await writeFile(join(root, "home", ".codex", "auth.json"), canary);
    execFileSync("mkfifo", [join(artifacts, "pipe")]);
    await server.harness.cue(id, reporting);
    expect((await server.harness.ended(id)).status).toBe("succeeded");
    for (const path of artifactPaths) {
      const got = await server.get(`/v1/jobs/${id}/artifacts/${path}`);
      expectHarmless(got);
      expect([path, got.status]).toEqual([path, expect.toSatisfy((status: number) => status >= 400)]);
    }
    expect((await server.get(`/v1/jobs/${id}/artifacts/artifacts/report.md`)).status).toBe(200);
    for (const rest of ["artifacts", "bundle", "bundle/debug", "files", "logs", "events/history", "result"]) {
      const got = await server.get(`/v1/jobs/${id}/${rest}`);
      expect([rest, got.status]).toEqual([rest, 200]);
      // Prompts name the job's own folder: the agent needs that.
      expect(await readable(got)).not.toContain(canary);
    }
  });

  test("fails when it names a link as its answer", async () => {
    const stolen = { lines: answering(answer) };
    const { id, artifacts } = await atWork(stolen);
    await symlink(join(server.harness.folder, "secret.txt"), join(artifacts, "report.md"));
    await server.harness.cue(id, stolen);
    expect((await server.harness.ended(id)).status).toBe("failed");
    expectHarmless(await server.get(`/v1/jobs/${id}/result`));
    expectRefused(await server.get(`/v1/jobs/${id}/artifacts/artifacts/report.md`));
  });
});

describe("an agent that leaves a link where its artifacts belong", () => {
  /** A folder of somebody else's. */
  const others = async () => {
    const folder = join(server.harness.config.dataDir, "run_secrets");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "report.md"), canary);
    return folder;
  };
  afterEach(() => rm(join(server.harness.config.dataDir, "run_secrets/report.md")));

  test("has nothing written, and no name told, by it", async () => {
    const folder = await others();
    const names = await readdir(folder);
    const { id, artifacts, temporary } = await atWork(reporting);
    await rm(artifacts, { recursive: true });
    await symlink(folder, artifacts);
    await writeFile(join(temporary, "report.md"), "# Report\n");
    const copied = { ...answer, report: join(temporary, "report.md") };
    await server.harness.cue(id, { lines: answering(copied) });
    expect((await server.harness.ended(id)).status).toBe("succeeded");
    expect(await readdir(folder)).toEqual(names);
    expect(await readFile(join(folder, "report.md"), "utf8")).toBe(canary);
    const report = await server.get(`/v1/jobs/${id}/artifacts/artifacts/report.md`);
    expect([report.status, report.bytes.toString()]).toEqual([200, "# Report\n"]);
  });

  test("has no file overwritten by it", async () => {
    const file = join(await others(), "report.md");
    const { id, artifacts, temporary } = await atWork(reporting);
    await symlink(file, join(artifacts, "report.md"));
    await writeFile(join(temporary, "report.md"), "# Report\n");
    const copied = { ...answer, report: join(temporary, "report.md") };
    await server.harness.cue(id, { lines: answering(copied) });
    expect((await server.harness.ended(id)).status).toBe("succeeded");
    expect(await readFile(file, "utf8")).toBe(canary);
    const report = await server.get(`/v1/jobs/${id}/artifacts/artifacts/report.md`);
    expect([report.status, report.bytes.toString()]).toEqual([200, "# Report\n"]);
  });
});

describe("a request with", () => {
  test.each(Object.entries(headers))("%s is refused", async (_name, given) => {
    const stored = await server.stored();
    // Some are refused before they are a request at all, without a body.
    for (const refused of [
      await server.send("POST", "/v1/jobs", { body: { skill_id: "s" }, headers: given }),
      await server.get("/v1/jobs", given),
    ]) {
      expectHarmless(refused);
      expect(refused.status).toBeGreaterThanOrEqual(400);
    }
    expect(await server.stored()).toEqual(stored);
  });

  test.each(Object.entries(oddHeaders))("%s does no harm", async (_name, given) => {
    const id = await ended();
    for (const path of ["", "/result", "/events/history", "/bundle"])
      expectHarmless(await server.get(`/v1/jobs/${id}${path}`, given));
    expect((await server.get(`/v1/jobs/${id}`)).status).toBe(200);
  });
});

test.each(Object.entries(environments))("a job whose agent is to have %s is refused", async (_name, env) => {
  const stored = await server.stored();
  expectRefused(await server.send("POST", "/v1/jobs", { body: { skill_id: "s", runtime_options: { env } } }));
  expect(await server.stored()).toEqual(stored);
});

test.each(Object.entries(bodies))("a body that is %s makes no job", async (_name, body) => {
  const stored = await server.stored();
  expectRefused(
    await server.send("POST", "/v1/jobs", { body, headers: { "content-type": "application/json" } }),
  );
  expect(await server.stored()).toEqual(stored);
  expect({}).not.toHaveProperty("engine");
});

test.each(prompts)("the text %j reaches the agent as it is, on stdin alone", async (text) => {
  const id = await server.job({
    skill_id: "text-stats",
    input: { text },
    runtime_options: { no_cache: true },
  });
  await server.harness.ended(id);
  const call = (await server.harness.calls()).find(({ env }) => env.SKILL_RUNNER_RUN_ID === id);
  expect(call?.prompt).toContain(JSON.stringify(text).slice(1, -1));
  expect(call?.args.join("\n")).not.toContain(text);
  expect(JSON.stringify(call?.env)).not.toContain(JSON.stringify(text).slice(1, -1));
  const { workspace } = runPaths(server.harness.config.dataDir, id);
  expect(await readdir(workspace)).not.toContain("escaped");
  expect(await readFile(join(workspace, "..", "events.jsonl"), "utf8")).not.toContain("\u001b");
});

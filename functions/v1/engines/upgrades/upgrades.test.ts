import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type FakeRegistry,
  fakeCodex,
  startRegistry,
} from "../../../../lib/agents/manager/npm-registry.test-support.ts";
import { type Harness, startHarness } from "../../../../tests/harness.ts";
import getEngine from "../[engine]/index.get.ts";
import getUpgrade from "./[request_id].get.ts";
import postUpgrade from "./index.post.ts";

let packages: string;
let registry: FakeRegistry;
let harness: Harness | undefined;
beforeEach(async () => {
  packages = await mkdtemp(join(tmpdir(), "packages-"));
  registry = await startRegistry(packages);
});
afterEach(async () => {
  await harness?.close();
  harness = undefined;
  await registry.close();
  await rm(packages, { recursive: true, force: true });
});

/** A server that has node and npm, and no agent CLI. */
const start = async (env: Record<string, string> = {}) => {
  const PATH = [dirname(process.execPath), "/usr/bin", "/bin"].join(":");
  harness = await startHarness({ noEngine: true, env: { PATH, NPM_CONFIG_REGISTRY: registry.url, ...env } });
  return harness;
};
const get = async (at: Harness, id: string) => at.call(getUpgrade, { params: { request_id: id } });
const upgrade = async (at: Harness, body: object = { mode: "single", engine: "codex" }) => {
  const { status, body: accepted } = await at.call(postUpgrade, { body });
  expect({ status, accepted }).toMatchObject({ status: 200, accepted: { status: "queued" } });
  return accepted.request_id;
};
const ended = async (at: Harness, id: string) => {
  for (;;) {
    const { body } = await get(at, id);
    if (["succeeded", "failed"].includes(body.status)) return body;
    await sleep(20);
  }
};
const loading = async (tarball: string) => {
  while (!registry.asked.some((path) => path.endsWith(tarball))) await sleep(20);
};
const codexStatus = async (at: Harness) =>
  JSON.parse(await readFile(join(at.config.dataDir, "agent_status.json"), "utf8")).codex;

describe("one engine", () => {
  test("is installed, then upgraded, and kept on record across a restart", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    const at = await start();
    const first = await ended(at, await upgrade(at));
    expect(first).toMatchObject({
      mode: "single",
      requested_engine: "codex",
      status: "succeeded",
      results: {
        codex: {
          status: "succeeded",
          action: "install",
          from_version: null,
          to_version: "0.169.0",
          exit_code: 0,
          stdout: expect.stringContaining("added 1 package"),
          error: null,
        },
      },
    });
    expect(await codexStatus(at)).toMatchObject({ present: true, version: "0.169.0" });
    expect((await at.call(getEngine, { params: { engine: "codex" } })).body).toMatchObject({
      cli_version_detected: "0.169.0",
      last_install: { action: "install", exit_code: 0, error: null },
    });
    // Nothing is to be done the second time, and nothing is fetched.
    const asked = registry.asked.length;
    const again = await ended(at, await upgrade(at));
    expect(again.results.codex).toMatchObject({ status: "succeeded", action: null, from_version: "0.169.0" });
    expect(registry.asked).toHaveLength(asked);
    await at.restart();
    expect((await get(at, first.request_id)).body).toEqual(first);
  });

  test("is watched while it is under way; a second upgrade has to wait", async () => {
    await registry.publish(
      fakeCodex("0.169.0", { scripts: { postinstall: "node -e \"console.error('from the script')\"" } }),
    );
    registry.hang = true;
    const at = await start({ NPM_CONFIG_LOGLEVEL: "http" });
    const id = await upgrade(at);
    await loading("0.169.0.tgz");
    const { body } = await get(at, id);
    expect(body).toMatchObject({
      status: "running",
      results: { codex: { status: "running", action: "install", from_version: null, to_version: null } },
    });
    expect(body.results.codex.stderr).toContain("http fetch GET 200");
    expect(await at.call(postUpgrade, { body: { mode: "all" } })).toMatchObject({
      status: 409,
      body: { code: "UPGRADE_IN_PROGRESS", detail: expect.stringContaining(id) },
    });
    registry.release();
    expect((await ended(at, id)).status).toBe("succeeded");
    await ended(at, await upgrade(at));
  });

  test("that fails says why, names no host path, and keeps the version that was there", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    const at = await start();
    await ended(at, await upgrade(at));
    await at.close();
    harness = undefined;
    await registry.publish(
      fakeCodex("2.0.0", {
        files: { "bin/codex.js": "#!/usr/bin/env node\nprocess.exit(1);\n" },
        scripts: { postinstall: 'node -e "console.error(process.cwd()); process.exit(7)"' },
      }),
    );
    const other = await start({ SKILL_RUNNER_ENGINE_VERSIONS: "codex=2.0.0" });
    const failed = await ended(other, await upgrade(other));
    expect(failed).toMatchObject({
      status: "failed",
      results: {
        codex: { status: "failed", exit_code: 7, error: expect.stringContaining("@openai/codex@2.0.0") },
      },
    });
    const detail = (await other.call(getEngine, { params: { engine: "codex" } })).body;
    expect(detail.last_error).toBe(failed.results.codex.error);
    expect(await codexStatus(other)).toMatchObject({
      last_install: { exit_code: 7, wanted_version: "2.0.0" },
    });
    for (const told of [failed, detail]) expect(JSON.stringify(told)).not.toContain(other.folder);
  });
});

test("all engines: those that fail do not hurt the others", async () => {
  await registry.publish(fakeCodex("0.169.0"));
  const at = await start();
  const body = await ended(at, await upgrade(at, { mode: "all" }));
  expect(body).toMatchObject({ mode: "all", requested_engine: null, status: "failed" });
  const { codex, ...others } = body.results;
  expect(codex).toMatchObject({ status: "succeeded", to_version: "0.169.0" });
  for (const result of Object.values(others))
    expect(result).toMatchObject({ status: "failed", error: expect.stringContaining("404") });
  expect(await codexStatus(at)).toMatchObject({ present: true });
});

test("an upgrade that a shutdown cut short has failed, says so, and left nothing", async () => {
  await registry.publish(fakeCodex("0.169.0"));
  registry.hang = true;
  const at = await start();
  const id = await upgrade(at);
  await loading("0.169.0.tgz");
  await at.restart();
  expect((await get(at, id)).body).toMatchObject({
    status: "failed",
    results: { codex: { status: "failed", error: expect.stringContaining("The server stopped") } },
  });
  registry.release();
  expect((await ended(at, await upgrade(at))).status).toBe("succeeded");
});

test("one that a crash cut short is not running any more", async () => {
  const at = await start();
  const id = "01M87DK8E7XJ2AH58R08D43THF";
  const result = {
    status: "running",
    action: "install",
    from_version: null,
    to_version: null,
    exit_code: null,
    stdout: "so far",
    stderr: "",
    error: null,
  };
  const path = join(at.config.dataDir, "state/upgrades", id);
  const record = {
    request_id: id,
    mode: "single",
    requested_engine: "codex",
    status: "running",
    created_at: "2026-11-24T00:00:00.000Z",
    updated_at: "2026-11-24T00:00:00.000Z",
    results: { codex: result },
  };
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(record));
  expect((await get(at, id)).body).toMatchObject({
    status: "failed",
    results: { codex: { status: "failed", stdout: "so far", error: expect.stringContaining("ask again") } },
  });
});

describe("what cannot be asked for", () => {
  test.each([
    [{ mode: "single" }, 422, "REQUEST_INVALID", "/engine"],
    [{ mode: "all", engine: "codex" }, 422, "REQUEST_INVALID", "/engine"],
    [{ mode: "some" }, 422, "REQUEST_INVALID", "/mode"],
    [{}, 422, "REQUEST_INVALID", "/mode"],
    [{ mode: "all", version: "1.0.0" }, 422, "REQUEST_INVALID", "/version"],
    [{ mode: "single", engine: "hal" }, 404, "ENGINE_NOT_FOUND", undefined],
    [{ mode: "single", engine: "__proto__" }, 404, "ENGINE_NOT_FOUND", undefined],
  ])("%j: %i %s", async (body, status, code, pointer) => {
    const at = await start();
    const answer = await at.call(postUpgrade, { body });
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.body.errors?.[0]?.pointer).toBe(pointer);
    expect(registry.asked).toEqual([]);
  });

  test.each(["01M87DK8E7XJ2AH58R08D43THF", "..", "x", "../../runs"])("there is no upgrade %s", async (id) => {
    expect(await get(await start(), id)).toMatchObject({ status: 404, body: { code: "UPGRADE_NOT_FOUND" } });
  });
});

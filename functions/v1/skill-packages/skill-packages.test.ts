import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Harness, plainPackage, startHarness } from "../../../tests/harness.ts";
import { packageZip } from "../../../tests/package-zip.ts";
import { answering } from "../../../tests/stand-in.ts";
import getSkill from "../skills/[skill_id].get.ts";
import getInstall from "./[request_id].get.ts";
import postInstall from "./install.post.ts";

let at: Harness;
beforeEach(async () => {
  at = await startHarness({
    scenario: [{ lines: answering({ ok: true }) }],
    env: { SKILL_RUNNER_MAX_UPLOAD_BYTES: "100000" },
  });
});
afterEach(() => at.close());

const id = "posted";
const zipOf = (version: string, text = version) =>
  packageZip(id, { ...plainPackage(id, { version }), "scripts/run.sh": text });
const form = (zip: Buffer, name = "file") => {
  const body = new FormData();
  body.append(name, new Blob([Uint8Array.from(zip)]), "package.zip");
  return body;
};
const get = (requestId: string) => at.call(getInstall, { params: { request_id: requestId } });
const install = async (zip: Buffer) => {
  const { status, body } = await at.call(postInstall, { body: form(zip) });
  expect({ status, body }).toEqual({
    status: 200,
    body: { request_id: expect.any(String), status: "queued" },
  });
  for (;;) {
    const answer = (await get(body.request_id)).body;
    if (answer.status === "succeeded" || answer.status === "failed") return answer;
    await sleep(5);
  }
};
const left = async () => {
  const folders = ["incoming", "skill_installs"].map((name) => join(at.config.dataDir, name));
  const staging = join(at.config.skillsDir, ".staging");
  return (await Promise.all([...folders, staging].map((each) => readdir(each).catch(() => [])))).flat();
};
/** Runs a job and gives the script that its agent saw. */
const scriptOfJob = async () => {
  const { body } = await at.submit({ skill_id: id, runtime_options: { no_cache: true } });
  expect(await at.ended(body.request_id)).toMatchObject({ status: "succeeded" });
  const { cwd = "" } = (await at.calls()).at(-1) ?? {};
  return readFile(join(cwd, ".agents/skills", id, "scripts/run.sh"), "utf8");
};

test("a package is installed, runs at once, and is updated; the next job has the new one", async () => {
  const installed = await install(zipOf("1.0"));
  expect(installed).toEqual({
    request_id: expect.stringMatching(/^[0-9A-Z]{26}$/),
    status: "succeeded",
    created_at: expect.stringMatching(/Z$/),
    updated_at: expect.stringMatching(/Z$/),
    skill_id: id,
    version: "1.0",
    action: "install",
    error: null,
  });
  expect(await scriptOfJob()).toBe("1.0");
  expect(await install(zipOf("1.1"))).toMatchObject({
    status: "succeeded",
    action: "update",
    version: "1.1",
  });
  expect(await scriptOfJob()).toBe("1.1");
  expect((await at.call(getSkill, { params: { skill_id: id } })).body).toMatchObject({
    runnable: true,
    version: "1.1",
  });
  expect(await readdir(join(at.config.skillsDir, ".archive", id))).toEqual(["1.0"]);
  expect(await left()).toEqual([]);
  await at.restart();
  expect((await get(installed.request_id)).body).toEqual(installed);
});

test("a package that is refused says why, with places, and changes nothing", async () => {
  await install(zipOf("2"));
  expect(await install(zipOf("2.0.0", "other"))).toMatchObject({
    status: "failed",
    error: { code: "SKILL_VERSION_NOT_GREATER", message: expect.stringContaining("Version 2 of") },
  });
  const broken = await install(packageZip(id, { ...plainPackage(id, { version: "3", engines: ["hal"] }) }));
  expect(broken.error).toMatchObject({ code: "SKILL_INVALID" });
  expect(broken.error.issues[0].pointer).toBe("assets/runner.json#/engines/0");
  expect(await install(Buffer.from("no zip"))).toMatchObject({
    status: "failed",
    skill_id: null,
    error: { code: "ARCHIVE_INVALID" },
  });
  expect(await scriptOfJob()).toBe("2");
  expect(await left()).toEqual([]);
});

describe("what is no package at all", () => {
  test.each([
    ["another part", () => form(zipOf("1"), "package"), {}, 400, "UPLOAD_INVALID"],
    ["no part", () => new FormData(), {}, 400, "UPLOAD_INVALID"],
    ["JSON", () => "{}", { "content-type": "application/json" }, 415, "MEDIA_TYPE_UNSUPPORTED"],
    ["too much", () => form(Buffer.alloc(100_001)), {}, 413, "BODY_TOO_LARGE"],
  ])("%s is refused at once", async (_name, body, headers, status, code) => {
    const answer = await at.call(postInstall, { body: body(), headers });
    expect(answer).toMatchObject({ status, body: { code } });
    expect(await left()).toEqual([]);
  });
});

test("a server that stops takes no package", async () => {
  await at.services.skillPackages.stop();
  const answer = await at.call(postInstall, { body: form(zipOf("1")) });
  expect(answer).toMatchObject({ status: 503, body: { code: "SHUTTING_DOWN" } });
  expect(answer.headers.get("retry-after")).toBe("5");
});

test.each(["01M87DK8E7XJ2AH58R08D43THF", "..", "x", "../../runs"])(
  "there is no install %s",
  async (requestId) => {
    expect(await get(requestId)).toMatchObject({
      status: 404,
      body: { code: "SKILL_PACKAGE_INSTALL_NOT_FOUND" },
    });
  },
);

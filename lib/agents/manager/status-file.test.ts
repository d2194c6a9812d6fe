import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { replaceFile } from "../../storage/index.ts";
import { type CliEntry, openStatusFile } from "./status-file.ts";

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), "status-")), "agent_status.json");
});
afterEach(() => rm(join(path, ".."), { recursive: true, force: true }));

const open = () => openStatusFile(path, replaceFile);
const probe = {
  stamp: "1:2:3",
  machine: "m",
  version: "1.0.0",
  flags: ["--json"],
  sandbox: "works" as const,
};
const entry = (more: Partial<CliEntry> = {}): CliEntry => ({
  present: true,
  version: "1.0.0",
  path: "/x/bin/codex",
  source: "managed",
  sandbox: "on",
  auth_ready: false,
  wanted_version: "1.0.0",
  error: null,
  config_error: null,
  how_to_install: null,
  checked_at: "2026-11-24T00:00:00.000Z",
  last_install: null,
  probe,
  ...more,
});

test("says present and version per CLI, as valid JSON whatever a CLI printed", async () => {
  const version = 'v"1"\n\u0000\ud800</script>';
  await open().write({ codex: entry({ version }), gemini: entry({ present: false, version: "" }) });
  const text = await readFile(path, "utf8");
  expect(JSON.parse(text)).toMatchObject({
    codex: { present: true, version },
    gemini: { present: false, version: "" },
  });
  expect(text.endsWith("}\n")).toBe(true);
});

test("is read back by the next process", async () => {
  const last_install = {
    at: "2026-11-24T00:00:00.000Z",
    action: "upgrade" as const,
    wanted_version: "2.0.0",
    exit_code: 1,
    error: "no network",
  };
  await open().write({ codex: entry({ last_install }) });
  expect(await open().recall("codex")).toEqual({ probe, last_install });
  expect(await open().recall("gemini")).toEqual({ probe: null, last_install: null });
});

test.each(["", "{", "null", "[]", '"x"', '{"codex":null}', '{"codex":{"probe":{"stamp":1}}}', '{"codex":3}'])(
  "a file that holds %j is an empty one, and is written over",
  async (content) => {
    await writeFile(path, content);
    const file = open();
    expect(await file.recall("codex")).toEqual({ probe: null, last_install: null });
    await file.write({ codex: entry() });
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ codex: entry() });
  },
);

test("many writers at once leave one whole file", async () => {
  const writers = Array.from({ length: 20 }, (_, index) =>
    open().write({ codex: entry({ version: `${index}`.repeat(50_000) }) }),
  );
  await Promise.all(writers);
  expect(JSON.parse(await readFile(path, "utf8")).codex.version).toMatch(/^(\d+?)\1{49999}$/);
});

test("a folder that cannot be written is told", async () => {
  await writeFile(path, "");
  const file = openStatusFile(join(path, "agent_status.json"), replaceFile);
  await expect(file.write({})).rejects.toMatchObject({ code: expect.stringMatching(/ENOTDIR|EEXIST/) });
});

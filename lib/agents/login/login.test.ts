import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "../agent.ts";
import { agents } from "../index.ts";
import {
  credentialsFingerprint,
  importCredentials,
  keyVariable,
  loginMethods,
  startDeviceLogin,
} from "./index.ts";

const agentOf = (id: string): Agent => {
  const found = agents.find((agent) => agent.id === id);
  if (found === undefined) throw new Error(`there is no ${id}`);
  return found;
};
const codex = agentOf("codex");
const gemini = agentOf("gemini");
const printed = await readFile(
  join(import.meta.dirname, "../../../tests/fixtures/codex/device-login.txt"),
  "utf8",
);

let folder: string;
let environment: Record<string, string>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "login-"));
  environment = { HOME: join(folder, "home"), PATH: process.env.PATH ?? "" };
  await mkdir(environment.HOME ?? "");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function received(name: string, content: string) {
  const path = join(folder, `received-${Math.random()}`);
  await writeFile(path, content);
  return { name, path, bytes: Buffer.byteLength(content) };
}
const home = (path: string) => join(environment.HOME ?? "", path);
const pointersOf = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: "CREDENTIALS_INVALID" });
  return (error as { issues: { pointer: string }[] }).issues.map(({ pointer }) => pointer);
};

describe("credential files", () => {
  test("go where the CLI looks for them, for its user alone", async () => {
    const file = await received("auth.json", '{"tokens":{}}');
    expect(await importCredentials(codex, environment, [file])).toEqual(["auth.json"]);
    expect(await readFile(home(".codex/auth.json"), "utf8")).toBe('{"tokens":{}}');
    expect((await stat(home(".codex/auth.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(home(".codex"))).mode & 0o777).toBe(0o700);
    expect(await readdir(home(".codex"))).toEqual(["auth.json"]);
  });

  test("behind the links that a container makes replace the mounted file, not the link", async () => {
    await mkdir(join(folder, "mounted"));
    await symlink(join(folder, "mounted"), home(".codex"));
    await importCredentials(codex, environment, [await received("auth.json", "{}")]);
    expect(await readFile(join(folder, "mounted/auth.json"), "utf8")).toBe("{}");
  });

  test("that are no login are refused, each with a reason, and nothing is written", async () => {
    const refused = async (...files: [string, string][]) =>
      pointersOf(
        importCredentials(gemini, environment, await Promise.all(files.map((file) => received(...file)))),
      );
    expect(await refused(["oauth_creds.json", "{}"])).toEqual(["/google_accounts.json"]);
    expect(await refused(["oauth_creds.json", "no"], ["google_accounts.json", "[]"])).toEqual([
      "/oauth_creds.json",
      "/google_accounts.json",
    ]);
    expect(await refused(["../oauth_creds.json", "{}"], ["google_accounts.json", "{}"])).toContain(
      "/..~1oauth_creds.json",
    );
    expect(await refused()).toEqual([""]);
    const marked = agentOf("qwen");
    const empty = await received("settings.json", "{}");
    expect(await pointersOf(importCredentials(marked, environment, [empty]))).toEqual(["/settings.json"]);
    expect(await readdir(environment.HOME ?? "")).toEqual([]);
  });

  test("are seen to change whenever one is written", async () => {
    const seen = [await credentialsFingerprint(gemini, environment)];
    await importCredentials(gemini, environment, [
      await received("oauth_creds.json", "{}"),
      await received("google_accounts.json", "{}"),
    ]);
    seen.push(await credentialsFingerprint(gemini, environment));
    await importCredentials(gemini, environment, [await received("oauth_creds.json", "{}")]);
    seen.push(await credentialsFingerprint(gemini, environment));
    expect(new Set(seen).size).toBe(3);
    expect(await credentialsFingerprint(gemini, environment)).toBe(seen[2]);
  });
});

describe("what a person can do", () => {
  test.each(agents.map((agent) => [agent.id, agent] as const))(
    "to log %s in is said in full",
    (_id, agent) => {
      const methods = loginMethods(agent, environment, null);
      expect(methods.map(({ method }) => method)).toEqual(["import_files", "api_key", "terminal"]);
      for (const { instructions, title } of methods) {
        expect(instructions).toMatch(/\.$/);
        expect(title).not.toBe("");
      }
    },
  );

  test("names the key's variable: of the provider, for a CLI of many", () => {
    expect(keyVariable(codex)).toBe("CODEX_API_KEY");
    const opencode = agentOf("opencode");
    expect(keyVariable(opencode, "anthropic")).toBe("ANTHROPIC_API_KEY");
    expect(keyVariable(opencode, "my-own")).toBeNull();
  });
});

describe("a login by device code", () => {
  const cli = async (script: string) => {
    const executable = join(folder, "codex");
    await writeFile(executable, `#!/bin/sh\n${script}\n`);
    await chmod(executable, 0o755);
    return executable;
  };
  const start = async (script: string, signal = new AbortController().signal) =>
    startDeviceLogin(codex, { executable: await cli(script), environment, signal, timeoutMs: 20_000 });

  test("shows the page and the code that codex printed, then tells that it is done", async () => {
    await writeFile(join(folder, "out"), printed);
    const { challenge, done } = await start(`cat ${join(folder, "out")}; sleep 0.1`);
    expect(await challenge).toEqual({
      auth_url: "https://auth.openai.com/codex/device",
      user_code: "ABCD-12345",
    });
    expect(await done).toEqual({ ok: true, error: null });
  });

  test("that fails says why", async () => {
    const { challenge, done } = await start('echo "Error logging in: no network" >&2; exit 1');
    await expect(challenge).rejects.toThrow("Error logging in: no network");
    expect(await done).toEqual({ ok: false, error: "Error logging in: no network" });
  });

  test("is ended with all its processes", async () => {
    const controller = new AbortController();
    const { challenge, done } = await start("sleep 60 & sleep 60", controller.signal);
    controller.abort();
    expect((await done).ok).toBe(false);
    await expect(challenge).rejects.toThrow("showed no code before it ended");
  });
});

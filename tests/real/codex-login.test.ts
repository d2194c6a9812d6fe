import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Issuer, startIssuer, token, userCode } from "../codex-issuer.ts";
import { type ModelServer, startModelServer } from "../model-server/server.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";

/** The real codex logs in by device code at an issuer on 127.0.0.1, while a job waits for that. */
const root = join(import.meta.dirname, "../..");
const codex = join(root, "data/cache/npm/bin/codex");
let folder: string;
let issuer: Issuer;
let model: ModelServer;
let server: RunningServer;

beforeAll(async () => {
  await mkdir(join(root, "data"), { recursive: true });
  folder = await mkdtemp(join(root, "data/real-login-"));
  await mkdir(join(folder, "home/.codex"), { recursive: true });
  await mkdir(join(folder, "bin"));
  await writeFile(join(folder, "home/.codex/config.toml"), 'cli_auth_credentials_store = "file"\n');
  issuer = await startIssuer();
  model = await startModelServer(({ headers }) =>
    headers.authorization === `Bearer ${token}`
      ? { kind: "text", text: "An old silent pond" }
      : { kind: "error", status: 401, message: "Missing bearer authentication." },
  );
  // The issuer is an option of codex's own that no adapter gives it.
  const executable = join(folder, "bin/codex");
  const login = `[ "$1" = login ] && exec "${codex}" "$@" --experimental_issuer "${issuer.url}"`;
  await writeFile(executable, `#!/bin/sh\n${login}\nexec "${codex}" "$@"\n`);
  await chmod(executable, 0o755);
  server = await startBuiltServer({
    // The real one's prefix stands behind it: what PATH names is there in the runner's sandbox, too.
    PATH: `${join(folder, "bin")}:${join(root, "data/cache/npm")}:${process.env.PATH}`,
    HOME: join(folder, "home"),
    SKILL_RUNNER_DATA_DIR: join(folder, "data"),
    NPM_CONFIG_PREFIX: join(folder, "npm"),
    OPENAI_BASE_URL: `${model.url}/v1`,
  });
});
afterAll(async () => {
  await server?.stop();
  await model?.close();
  issuer?.close();
  await rm(folder, { recursive: true, force: true });
});

test("a job waits for a login by device code, and goes on when somebody has confirmed it", {
  timeout: 90_000,
}, async () => {
  const job = { skill_id: "haiku", model: "gpt-5.5", runtime_options: { auth_wait_timeout_sec: 60 } };
  const { body: accepted } = await server.json("POST", "/v1/jobs", job);
  const at = `/v1/jobs/${accepted.request_id}`;
  const status = async () => (await server.json("GET", at)).body.status;
  const session = async () => (await server.json("GET", `${at}/auth/session`)).body;
  await expect.poll(status, { timeout: 30_000 }).toBe("waiting_auth");
  expect((await session()).available_methods).toContainEqual(
    expect.objectContaining({ method: "device_code" }),
  );

  const selection = { kind: "auth_method", value: "device_code" };
  const selected = await server.json("POST", `${at}/interaction/reply`, { mode: "auth", selection });
  expect(selected).toMatchObject({ status: 200 });
  await expect.poll(async () => (await session()).user_code, { timeout: 30_000 }).toBe(userCode);
  const waiting = await session();
  expect(waiting).toMatchObject({
    waiting_auth: true,
    selected_method: "device_code",
    auth_url: `${issuer.url}/codex/device`,
    last_error: null,
  });

  issuer.confirm();
  await expect.poll(status, { timeout: 30_000 }).toBe("succeeded");
  const { result } = (await server.json("GET", `${at}/result`)).body;
  expect(JSON.stringify(result.data)).toContain("An old silent pond");
  expect(issuer.asked.at(-1)).toBe("/oauth/token");

  const auth = join(folder, "home/.codex/auth.json");
  expect(JSON.parse(await readFile(auth, "utf8"))).toMatchObject({ tokens: { refresh_token: "refresh" } });
  expect((await stat(auth)).mode & 0o077).toBe(0);
  const { engines } = (await server.json("GET", "/v1/engines")).body;
  expect(engines).toContainEqual(expect.objectContaining({ engine: "codex", auth_ready: true }));
});

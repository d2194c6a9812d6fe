import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { authReady, credentialFiles, pathOf } from "./credentials.ts";
import { allowedEnvironment } from "./environment.ts";
import { opencode } from "./opencode/index.ts";
import { qwen } from "./qwen/index.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "credentials-"));
});
afterEach(() => rm(folder, { recursive: true }));
const put = async (path: string, content: string) => {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
};

describe("folders that XDG variables move", () => {
  test("hold the login and the settings where the CLI looks for them", async () => {
    await put("data/opencode/auth.json", "{}");
    const environment = { HOME: join(folder, "home"), XDG_DATA_HOME: join(folder, "data") };
    expect(await authReady(opencode, environment)).toBe(true);
    expect(await authReady(opencode, { HOME: join(folder, "home") })).toBe(false);
    const moved = { HOME: "/h", XDG_CONFIG_HOME: "/c", XDG_DATA_HOME: "/d" };
    expect(opencode.homes.map(({ home }) => pathOf(opencode, home, moved))).toEqual([
      "/c/opencode",
      "/d/opencode",
    ]);
  });

  test("are below HOME when a variable is empty or relative", () => {
    for (const XDG_DATA_HOME of ["", "data"]) {
      expect(pathOf(opencode, ".local/share/opencode", { HOME: "/h", XDG_DATA_HOME })).toBe(
        "/h/.local/share/opencode",
      );
    }
  });
});

test("an empty variable moves nothing, and is not handed on: an .env file has such lines", () => {
  expect(pathOf(qwen, ".qwen/settings.json", { HOME: "/h", QWEN_HOME: "" })).toBe("/h/.qwen/settings.json");
  const server = { PATH: "/bin", OPENAI_API_KEY: "sk", OPENAI_BASE_URL: "" };
  const seen = allowedEnvironment(qwen, { server, npmPrefix: "/npm" });
  expect(seen).toMatchObject({ OPENAI_API_KEY: "sk" });
  expect(seen).not.toHaveProperty("OPENAI_BASE_URL");
});

test.each([
  ["of qwen's making", { $version: 4, security: { auth: { selectedType: "openai" } } }, false],
  ["that name a variable for the key", { modelProviders: { openai: [{ envKey: "X_API_KEY" }] } }, false],
  ["with an empty key", { security: { auth: { apiKey: "" } } }, false],
  ["with a key", { security: { auth: { apiKey: "k" } } }, true],
  ["with a key among the variables", { env: { DASHSCOPE_API_KEY: "k" } }, true],
])("qwen's settings %s: a login is %o", async (_what, settings, expected) => {
  await put(".qwen/settings.json", JSON.stringify(settings, null, 2));
  expect(await authReady(qwen, { HOME: folder })).toBe(expected);
  expect(await credentialFiles(qwen, { HOME: folder })).toHaveProperty([".qwen/settings.json"], expected);
});

import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claude } from "../claude/index.ts";
import { codex } from "../codex/index.ts";
import { layOutJail } from "./layout.ts";
import { whyNotHidden } from "./veils.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jail-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const put = (path: string, text = "") => {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
};

function layOut(environment: Record<string, string> = {}, executable = "data/npm/bin/codex") {
  const at = (name: string) => join(folder, name);
  const host = {
    environment: { HOME: at("home"), PATH: "/usr/bin", ...environment },
    agents: [codex, claude],
    npmPrefix: at("data/npm"),
    serverFolders: [at("data")],
    serverFiles: [],
  };
  const run = {
    workspace: at("data/run/workspace"),
    temporary: at("data/run/tmp"),
    home: at("data/run/home"),
    turnDir: null,
  };
  mkdirSync(at("home"), { recursive: true });
  mkdirSync(at("data/npm"), { recursive: true });
  const mounts = layOutJail(host, codex, at(executable), run);
  const of = (name: string) => mounts.filter((mount) => mount.at === at(name)).at(-1);
  return { of, mounts };
}

test("the data is hidden but for the workspace, HOME is the run's, the prefix can be read", () => {
  const { of } = layOut();
  expect(of("data")).toMatchObject({ as: "hidden" });
  expect(of("data/run/workspace")).toMatchObject({ as: "writable" });
  expect(of("data/npm")).toMatchObject({ as: "readable" });
  expect(of("home")).toEqual({
    at: join(folder, "home"),
    as: "writable",
    from: join(folder, "data/run/home"),
  });
});

test("of the homes there are the agent's own login and settings, and nobody else's", () => {
  const login = put("home/.codex/auth.json");
  const settings = put("home/.codex/config.toml");
  put("home/.codex/sessions/old.jsonl");
  put("home/.claude/.credentials.json");
  const { of, mounts } = layOut();
  expect(of("home/.codex/auth.json")).toMatchObject({ as: "writable", from: login });
  expect(of("home/.codex/config.toml")).toMatchObject({ as: "readable", from: settings });
  expect(mounts.map(({ at }) => at).filter((at) => /sessions|\.claude/.test(at))).toEqual([]);
});

test("a home that a variable moves is the run's own, with its login", () => {
  put("moved/auth.json");
  put("claude/.credentials.json");
  const { of } = layOut({ CODEX_HOME: join(folder, "moved"), CLAUDE_CONFIG_DIR: join(folder, "claude") });
  expect(of("moved")).toMatchObject({ as: "writable", from: join(folder, "data/run/home/.codex") });
  expect(of("moved/auth.json")).toMatchObject({ as: "writable" });
  expect(of("claude")).toMatchObject({ as: "hidden" });
});

test("links that an earlier turn left do not lead mounts elsewhere", () => {
  put("home/.codex/config.toml");
  mkdirSync(join(folder, "data/run/home"), { recursive: true });
  mkdirSync(join(folder, "data/other"), { recursive: true });
  symlinkSync(join(folder, "data/other"), join(folder, "data/run/home/.codex"));
  layOut();
  expect(existsSync(join(folder, "data/run/home/.codex"))).toBe(false);
  symlinkSync(join(folder, "data/other"), join(folder, "data/run/home/.codex"));
  mkdirSync(join(folder, "moved"));
  const { of } = layOut({ CODEX_HOME: join(folder, "moved") });
  writeFileSync(join(folder, "data/run/home/.codex/x"), "");
  expect(of("moved")).toMatchObject({ from: join(folder, "data/run/home/.codex") });
  expect(existsSync(join(folder, "data/other/x"))).toBe(false);
});

test("what lies beside a folder of programs in HOME is there with it, and nothing else of HOME", () => {
  put("home/conda/bin/python3");
  put("home/conda/lib/python3.12/os.py");
  put("home/conda/secrets/key");
  put("home/lib/key");
  put("home/bin/tool");
  const { of } = layOut({ PATH: `${join(folder, "home/conda/bin")}:${join(folder, "home/bin")}:/usr/bin` });
  expect(of("home/conda/bin")).toMatchObject({ as: "readable" });
  expect(of("home/conda/lib")).toMatchObject({ as: "readable" });
  expect(of("home/bin")).toMatchObject({ as: "readable" });
  expect(of("home/conda/secrets")).toBeUndefined();
  expect(of("home/lib")).toBeUndefined();
});

test("of ~/.local, the programs and their libraries are there, and not what other programs keep in share", () => {
  put("home/.local/bin/uv");
  put("home/.local/lib/python3.12/site.py");
  put("home/.local/share/keyrings/login.keyring");
  put("home/.local/share/uv/credentials/credentials.toml");
  put("home/.local/share/uv/tools/ruff/bin/ruff");
  symlinkSync(join(folder, "home"), join(folder, "link"));
  for (const name of ["home", "link"]) {
    const { of, mounts } = layOut({ PATH: `${join(folder, name, ".local/bin")}:/usr/bin` });
    expect(of("home/.local/bin")).toMatchObject({ as: "readable" });
    expect(of("home/.local/lib")).toMatchObject({ as: "readable" });
    expect(of("home/.local/share/uv/tools")).toMatchObject({ as: "readable" });
    const sharing = mounts.filter((mount) => mount.at.endsWith("/.local/share"));
    expect([name, sharing]).toEqual([name, []]);
  }
});

test("a CLI that lies below ~/.local/share is there with what lies beside it", () => {
  put("home/.local/share/own-agent/versions/3/agent");
  put("home/.local/share/own-agent/keys.json");
  mkdirSync(join(folder, "home/.local/bin"), { recursive: true });
  symlinkSync("../share/own-agent/versions/3/agent", join(folder, "home/.local/bin/agent"));
  const { of, mounts } = layOut({}, "home/.local/bin/agent");
  expect(of("home/.local/share/own-agent/versions/3")).toMatchObject({ as: "readable" });
  expect(mounts.some(({ at }) => at.endsWith("/own-agent") || at.endsWith("/.local/share"))).toBe(false);
});

test("whatever of the server's cannot be hidden is told", () => {
  const host = { environment: {}, agents: [], npmPrefix: "/n", serverFiles: [] };
  const told = (...serverFolders: string[]) => whyNotHidden({ ...host, serverFolders });
  expect(told("/")).toContain("in /,");
  expect(told(folder, "/opt")).toContain("/opt");
  symlinkSync("/usr/share", join(folder, "project"));
  expect(told(folder, join(folder, "project"))).not.toBeNull();
  expect(told(folder)).toBeNull();
  expect(whyNotHidden({ ...host, serverFolders: [folder], serverFiles: ["/jobs.db"] })).not.toBeNull();
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import { gemini } from "../gemini/index.ts";
import { opencode } from "../opencode/index.ts";
import { qwen } from "../qwen/index.ts";
import { keyFileVariables } from "./hidden.ts";
import { bubblewrapWorks, machineIn, makeVisibleFolder, put } from "./jail.test-support.ts";

let folder: string;
let visible: string | null;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "jail-")));
  visible = makeVisibleFolder();
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  if (visible !== null) rmSync(visible, { recursive: true });
});
const inVisible = (name: string) => {
  if (visible === null) throw new Error("this user can make no folder outside of /tmp and HOME");
  return join(visible, name);
};
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));

describe.skipIf(!bubblewrapWorks("lib/agents/jail/jail.test.ts"))("in the jail", () => {
  test("qwen writes and replaces its settings, and no other run reads them", async () => {
    const settings = put(join(folder, "home/.qwen/settings.json"), '{"mine":1}');
    const { inside, run } = machineIn(folder);
    const told = await inside(
      qwen,
      'cd ~/.qwen && cat settings.json && echo x >> settings.json && echo "{\\"hooks\\":1}" > new && mv new settings.json && cat settings.json',
    );
    expect(told).toBe('{"mine":1}{"hooks":1}');
    expect(readFileSync(settings, "utf8")).toBe('{"mine":1}');
    expect(existsSync(join(run.home, ".qwen/settings.json"))).toBe(false);
    expect(await inside(qwen, "cat ~/.qwen/settings.json")).toBe('{"mine":1}');
  });

  test("qwen renews its login by replacing it: the tokens are kept, where prompts go to is not", async () => {
    const login = { access_token: "a", refresh_token: "r", resource_url: "good.example", expiry_date: 1 };
    const shared = put(join(folder, "home/.qwen/oauth_creds.json"), JSON.stringify(login));
    const after = { ...login, access_token: "b", resource_url: "evil.example", expiry_date: 2, more: 1 };
    const write = `echo '${JSON.stringify(after)}' > ~/.qwen/t && mv ~/.qwen/t ~/.qwen/oauth_creds.json`;
    expect(await machineIn(folder).inside(qwen, write)).toBe("");
    expect(json(shared)).toEqual({ ...login, access_token: "b", expiry_date: 2 });
  });

  test("a login that was renewed before the server was killed is there for the next turn, and for all", async () => {
    const login = { access_token: "a", refresh_token: "r", expiry_date: 1 };
    const shared = put(join(folder, "home/.qwen/oauth_creds.json"), JSON.stringify(login));
    const { inside, run } = machineIn(folder);
    const renewed = { ...login, access_token: "b", refresh_token: "r2", expiry_date: 2 };
    put(join(run.home, ".qwen/oauth_creds.json"), JSON.stringify(renewed));
    expect(JSON.parse(await inside(qwen, "cat ~/.qwen/oauth_creds.json"))).toEqual(renewed);
    expect(json(shared)).toEqual(renewed);
  });

  test("opencode renews its logins, and can leave no entry that leads later runs to an address", async () => {
    const oauth = { type: "oauth", access: "a", refresh: "r", expires: 5, accountId: "me" };
    const logins = { copilot: oauth, anthropic: { type: "api", key: "k" } };
    const shared = put(join(folder, "home/.local/share/opencode/auth.json"), JSON.stringify(logins));
    const after = {
      copilot: { ...oauth, access: "b", expires: 9, enterpriseUrl: "evil.example" },
      anthropic: { type: "api", key: "another" },
      "https://evil.example": { type: "wellknown", key: "K", token: "t" },
    };
    const { inside } = machineIn(folder);
    const file = "~/.local/share/opencode/auth.json";
    await inside(opencode, `echo '${JSON.stringify(after)}' > ${file}`);
    expect(json(shared)).toEqual({ ...logins, copilot: { ...oauth, access: "b", expires: 9 } });
    expect(await inside(opencode, `cat ${file}`)).not.toContain("evil");
    // One that ends before the shared one was renewed by somebody else meanwhile.
    await inside(opencode, `echo '${JSON.stringify({ copilot: { ...oauth, access: "old" } })}' > ${file}`);
    expect(json(shared).copilot.access).toBe("b");
  });

  test("what stands in the place of a copy is neither read nor followed", async () => {
    const login = { access_token: "a", refresh_token: "r", expiry_date: 1 };
    const shared = put(join(folder, "home/.qwen/oauth_creds.json"), JSON.stringify(login));
    const other = put(
      join(folder, "data/oauth_creds.json"),
      JSON.stringify({ ...login, access_token: "of somebody else", expiry_date: 3 }),
    );
    const { inside } = machineIn(folder);
    await inside(qwen, `ln -sf '${other}' ~/.qwen/oauth_creds.json`);
    await inside(qwen, `rm -rf ~/.qwen && ln -s '${join(folder, "data")}' ~/.qwen`);
    await inside(qwen, "rm ~/.qwen/oauth_creds.json && mkfifo ~/.qwen/oauth_creds.json");
    expect(json(shared)).toEqual(login);
    expect(existsSync(other)).toBe(true);
  });

  test("links that a run leaves in a moved home make no files, and do not keep settings away", async () => {
    const moved = join(folder, "moved");
    put(join(moved, "config.toml"), "the operator's");
    put(join(moved, "auth.json"), "login");
    const { inside, at } = machineIn(folder, { CODEX_HOME: moved });
    const target = at("data/run/escape");
    const plant = (name: string) => `ln -sfn '${target}' '${join(moved, name)}'`;
    // What is mounted cannot be replaced by the agent itself, but in a turn before there was anything to mount.
    rmSync(join(moved, "config.toml"));
    rmSync(join(moved, "auth.json"));
    await inside(codex, `${plant("config.toml")}; ${plant("auth.json")}`);
    put(join(moved, "config.toml"), "the operator's");
    put(join(moved, "auth.json"), "login");
    const told = await inside(codex, `cat '${moved}/config.toml' '${moved}/auth.json'`);
    expect(told).toBe("the operator'slogin");
    expect(existsSync(target)).toBe(false);
  });

  test("a key file that a variable names is for its own agent, and for reading", async () => {
    const key = put(inVisible("keys/google.json"), "the key");
    const { inside } = machineIn(folder, { GOOGLE_APPLICATION_CREDENTIALS: key });
    expect(await inside(gemini, `cat '${key}'; echo x > '${key}'`)).toMatch(/^the key.*Read-only/s);
    expect(await inside(codex, `cat '${key}'`)).toMatch(/No such file/);
  });

  test("beside a key file, programs are found, and other files are left", async () => {
    const key = put(inVisible("google.json"), "the key");
    put(inVisible("bin/tool"), "tool");
    put(inVisible("lib/part"), "part");
    const PATH = [process.env.PATH, inVisible("bin")].join(delimiter);
    const { inside } = machineIn(folder, { GOOGLE_APPLICATION_CREDENTIALS: key, PATH });
    const look = `cat '${inVisible("bin/tool")}' '${inVisible("lib/part")}' '${key}'`;
    expect(await inside(gemini, look)).toBe("toolpartthe key");
    expect(await inside(codex, look)).toMatch(/^toolpart.*No such file/s);
  });

  test("a hidden file stays hidden when somebody replaces it while the agent runs", async () => {
    const key = put(inVisible("keys/google.json"), "the key");
    const acp = put(inVisible("conf/acp.json"), "secret");
    const database = inVisible("records/jobs.db");
    mkdirSync(inVisible("records"));
    const { enclose } = machineIn(
      folder,
      { GOOGLE_APPLICATION_CREDENTIALS: key },
      { serverFiles: [acp, database] },
    );
    const files = [key, acp, database].map((path) => `'${path}'`).join(" ");
    const { command } = await enclose(codex, `echo ready; read go; cat ${files}; echo end`);
    const child = spawn(command.executable, command.args, { env: command.env });
    let told = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        told += chunk;
      });
    await expect.poll(() => told, { timeout: 10_000 }).toContain("ready");
    for (const path of [key, acp, database]) {
      writeFileSync(`${path}.new`, "replaced");
      renameSync(`${path}.new`, path);
    }
    child.stdin.end("go\n");
    await once(child, "close");
    expect(told).toMatch(/end/);
    expect(told).not.toContain("replaced");
  });

  test("data, HOME and PATH are found by their names where those are links in what is hidden", async () => {
    const real = (name: string) => {
      mkdirSync(join(folder, "real", name), { recursive: true });
      return join(folder, "real", name);
    };
    const link = (name: string, to: string) => {
      mkdirSync(join(folder, "project"), { recursive: true });
      symlinkSync(to, join(folder, "project", name));
      return join(folder, "project", name);
    };
    const data = link("data", real("data"));
    const home = link("home", link("home-of-old", real("home")));
    put(join(real("tools"), "a-tool"), "tool");
    put(join(home, ".codex/auth.json"), "login");
    put(join(folder, "project/.env"), "KEY=1");
    symlinkSync(real("tools"), join(home, "bin"));
    const { inside, jail, run } = machineIn(
      folder,
      {
        HOME: home,
        PATH: [process.env.PATH, link("bin", real("tools")), join(home, "bin")].join(delimiter),
      },
      { serverFolders: [data, join(folder, "project"), join(folder, "real")], npmPrefix: join(data, "npm") },
    );
    put(join(data, "npm/bin/a-cli"), "cli");
    expect(await jail.state()).toMatchObject({ works: true, reason: expect.stringContaining("works here") });
    const told = await inside(
      codex,
      `pwd && echo x > kept && cat '${home}/.codex/auth.json' "$HOME/.codex/auth.json" '${folder}/project/bin/a-tool' '${home}/bin/a-tool' '${data}/npm/bin/a-cli' && ls -A '${folder}/project'`,
    );
    expect(told.split("\n")).toEqual([
      run.workspace,
      "loginlogintooltoolclibin",
      "data",
      "home",
      "home-of-old",
    ]);
    expect(readFileSync(join(run.workspace, "kept"), "utf8")).toBe("x\n");
  });

  test("key files of the server's own are out of reach, but for an agent that is given one", async () => {
    const files = keyFileVariables.map(
      (name) => [name, put(inVisible(`${name}/key`), `of ${name};`)] as const,
    );
    const { inside } = machineIn(folder, Object.fromEntries(files));
    const look = files.map(([, path]) => `cat '${path}' 2>&1`).join("; ");
    const told = await inside(codex, look);
    expect(told.match(/No such file/g)).toHaveLength(keyFileVariables.length);
    expect(told).not.toContain(";");
    const given = { ...codex, environment: [...codex.environment, "AWS_CONFIG_FILE"] };
    expect((await inside(given, look)).match(/of \w+;/g)).toEqual(["of AWS_CONFIG_FILE;"]);
  });

  test("npm's settings for the prefix are not there, and what lies beside them is", async () => {
    const { inside, at } = machineIn(folder);
    put(at("data/npm/etc/npmrc"), "//registry.example/:_authToken=secret");
    put(at("data/npm/etc/other"), "other");
    put(at("data/npm/bin/a-cli"), "cli");
    const told = await inside(
      codex,
      `cat '${at("data/npm/bin/a-cli")}' '${at("data/npm/etc/other")}' '${at("data/npm/etc/npmrc")}'`,
    );
    expect(told).toMatch(/^cliother/);
    expect(told).toMatch(/npmrc: No such file/);
    const elsewhere = machineIn(folder, {}, { npmPrefix: inVisible("prefix") });
    put(inVisible("prefix/etc/npmrc"), "secret");
    expect(await elsewhere.inside(codex, `cat '${inVisible("prefix/etc/npmrc")}'`)).toMatch(/No such file/);
  });

  test("a link from the data to another disk leads to nothing that others have there", async () => {
    put(inVisible("runs/other"), "of another run");
    const { inside, at } = machineIn(folder);
    symlinkSync(inVisible("runs"), at("data/runs"));
    expect(await inside(codex, `cat '${inVisible("runs/other")}'`)).toMatch(/No such file/);
  });

  test("sockets by which one rules the machine are out of reach, wherever variables say that they lie", async () => {
    const path = inVisible("docker.sock");
    const server = createServer().listen(path);
    await once(server, "listening");
    try {
      const look = `test -S '${path}' && echo reached; ls -A /run /var/run`;
      const { inside } = machineIn(folder, { DOCKER_HOST: `unix://${path}` });
      const told = await inside(codex, look);
      expect(told).not.toMatch(/reached|docker|podman|containerd|lxd|incus|systemd/);
    } finally {
      server.close();
    }
  });
});

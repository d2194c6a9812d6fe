import { execFile, spawn } from "node:child_process";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import { createInstallationFinder } from "../installation.ts";
import { type InstallOptions, installAgent } from "./install.ts";
import { type FakeRegistry, fakeCodex, startRegistry } from "./npm-registry.test-support.ts";

const run = promisify(execFile);
/** Of this process; a test that takes a tool away changes it for a while. */
const { PATH } = process.env;
let folder: string;
let registry: FakeRegistry;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "install-"));
  registry = await startRegistry(join(folder, "packages"));
});
afterEach(async () => {
  await registry.close();
  await rm(folder, { recursive: true, force: true });
});

const prefix = () => join(folder, "prefix");
const environment = () => ({
  PATH,
  HOME: folder,
  NPM_CONFIG_REGISTRY: registry.url,
  OPENAI_API_KEY: "sk-secret",
});
const install = (version: string, more: Partial<InstallOptions> = {}) =>
  installAgent(codex, { npmPrefix: prefix(), version, environment: environment(), ...more });
const says = async (path = join(prefix(), "bin/codex")) => (await run(path, ["--version"])).stdout.trim();
/** npm and its scripts work in the folder they install into (its command line npm overwrites). */
const npmsAtWork = async () => {
  const folders = await Promise.all(
    (await readdir("/proc")).map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => "")),
  );
  return folders.filter((path) => path.startsWith(prefix())).length;
};
const versions = async () =>
  (await readdir(join(prefix(), "lib/skill-runner/codex"))).map((name) => name.slice(0, 5));

describe("an install", () => {
  test("puts the command where npm would, by the version asked for", async () => {
    await registry.publish(fakeCodex("1.0.0"));
    await registry.publish(fakeCodex("2.0.0"));
    await install("1.0.0");
    expect(await says()).toBe("codex-cli 1.0.0");
    await install("latest");
    expect(await says()).toBe("codex-cli 2.0.0");
    const npm = (...args: string[]) =>
      run("npm", [...args, "--global", "--prefix", prefix()], { env: environment() });
    expect((await npm("ls")).stdout).toContain("@openai/codex@2.0.0");
    // What the guide tells people to do by hand goes on to work, and what they did is taken over again.
    await npm("install", "@openai/codex@1.0.0");
    expect(await says()).toBe("codex-cli 1.0.0");
    await install("2.0.0");
    expect(await says()).toBe("codex-cli 2.0.0");
    await npm("uninstall", "@openai/codex");
    await expect(says()).rejects.toThrow(/ENOENT/);
  });

  test("runs the install script of the package, which sees no keys, and fetches its dependencies", async () => {
    await registry.publish({
      name: "helper",
      version: "1.0.0",
      bin: {},
      files: { "index.js": "module.exports = 7" },
    });
    const files = {
      "bin/codex.js": `#!/usr/bin/env node\nconsole.log("codex-cli 1.0.0", require("./made.js"), require("helper"));\n`,
      "make.js": `const keys = Object.keys(process.env).filter((name) => /KEY|prefix/i.test(name));
require("node:fs").writeFileSync("bin/made.js", "module.exports = " + JSON.stringify(keys.join()));`,
    };
    await registry.publish(
      fakeCodex("1.0.0", {
        files,
        scripts: { postinstall: "node make.js" },
        dependencies: { helper: "1.0.0" },
      }),
    );
    await install("1.0.0");
    expect(await says()).toMatch(/^codex-cli 1\.0\.0 .*7$/);
    expect(await says()).not.toContain("OPENAI_API_KEY");
  });

  test("goes by the npmrc of the prefix", async () => {
    await registry.publish(fakeCodex("1.0.0"));
    await mkdir(join(prefix(), "etc"), { recursive: true });
    await writeFile(join(prefix(), "etc/npmrc"), `registry=${registry.url}\n`);
    const { NPM_CONFIG_REGISTRY: _, ...without } = environment();
    await install("1.0.0", { environment: without });
    expect(await says()).toBe("codex-cli 1.0.0");
  });

  test("leaves the version of a run that has begun where it is, until the one after the next", async () => {
    for (const version of ["1.0.0", "2.0.0", "3.0.0"]) await registry.publish(fakeCodex(version));
    const finder = createInstallationFinder(prefix(), environment());
    await install("1.0.0");
    const begun = await finder.find(codex);
    expect(begun).toMatchObject({ version: "1.0.0", source: "managed" });
    await install("2.0.0");
    expect(await says(begun?.path)).toBe("codex-cli 1.0.0");
    expect(await finder.find(codex)).toMatchObject({ version: "2.0.0" });
    await install("3.0.0");
    expect((await versions()).sort()).toEqual(["2.0.0", "3.0.0"]);
  });
});

describe("an install that fails leaves what was there", () => {
  beforeEach(async () => {
    await registry.publish(fakeCodex("1.0.0"));
    await install("1.0.0");
  });
  afterEach(async () => {
    expect(await says()).toBe("codex-cli 1.0.0");
    expect(await versions()).toEqual(["1.0.0"]);
  });

  test("for want of such a version", async () => {
    await expect(install("9.9.9")).rejects.toMatchObject({
      name: "InstallFailed",
      exitCode: 1,
      message: expect.stringMatching(
        /could not install @openai\/codex@9\.9\.9 \(exit 1\).*No matching version/,
      ),
    });
  });

  test("because its install script does", async () => {
    await registry.publish(fakeCodex("2.0.0", { scripts: { postinstall: "node -e 'process.exit(3)'" } }));
    await expect(install("2.0.0")).rejects.toMatchObject({ name: "InstallFailed" });
  });

  test.each([
    [
      "does not start",
      "#!/usr/bin/env node\nprocess.exit(2);\n",
      /does not run here: codex --version.*exit 2/,
    ],
    ["says nothing", "#!/usr/bin/env node\n", /does not run here/],
  ])("because the new version %s", async (_how, script, message) => {
    await registry.publish(fakeCodex("2.0.0", { files: { "bin/codex.js": script } }));
    await expect(install("2.0.0")).rejects.toThrow(message);
  });

  test("because the package has no such command any more", async () => {
    await registry.publish(fakeCodex("2.0.0", { bin: { other: "bin/codex.js" } }));
    await expect(install("2.0.0")).rejects.toThrow(/has no command "codex"/);
  });

  test("because it is stopped while it loads, or takes too long; nothing of npm is left running", async () => {
    await registry.publish(fakeCodex("2.0.0"));
    registry.hang = true;
    const stopping = new AbortController();
    const stopped = install("2.0.0", { signal: stopping.signal });
    stopped.catch(() => {});
    while (!registry.asked.some((path) => path.endsWith("2.0.0.tgz"))) await sleep(20);
    expect(await says()).toBe("codex-cli 1.0.0");
    expect(await npmsAtWork()).not.toBe(0);
    stopping.abort();
    await expect(stopped).rejects.toThrow(/was stopped/);
    await expect(install("2.0.0", { timeoutMs: 1_500 })).rejects.toThrow(/took longer than 2 s/);
    expect(await npmsAtWork()).toBe(0);
  });

  test("because an operator's own command stands in its place", async () => {
    const path = join(prefix(), "bin/codex");
    await rm(path);
    await writeFile(path, "#!/bin/sh\necho codex-cli 1.0.0\n");
    await chmod(path, 0o755);
    await registry.publish(fakeCodex("2.0.0"));
    await expect(install("2.0.0")).rejects.toThrow(/bin\/codex .* move it away first/);
  });
});

test("kill -9 in the middle: the old version runs on, and the next install clears up and goes through", async () => {
  await registry.publish(fakeCodex("1.0.0"));
  await registry.publish(fakeCodex("2.0.0"));
  await install("1.0.0");
  registry.hang = true;
  const program = `
    import { codex } from ${JSON.stringify(join(import.meta.dirname, "../codex/index.ts"))};
    import { installAgent } from ${JSON.stringify(join(import.meta.dirname, "install.ts"))};
    await installAgent(codex, ${JSON.stringify({ npmPrefix: prefix(), version: "2.0.0", environment: environment() })});`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    stdio: "inherit",
  });
  while (!registry.asked.some((path) => path.endsWith("2.0.0.tgz"))) await sleep(20);
  expect(await npmsAtWork()).not.toBe(0);
  child.kill("SIGKILL");
  expect(await says()).toBe("codex-cli 1.0.0");
  registry.release();
  await install("2.0.0");
  expect(await npmsAtWork()).toBe(0);
  expect(await says()).toBe("codex-cli 2.0.0");
  expect((await versions()).sort()).toEqual(["1.0.0", "2.0.0"]);
});

test("two installs into one prefix come one after the other", async () => {
  await registry.publish(fakeCodex("1.0.0"));
  await registry.publish(fakeCodex("2.0.0"));
  registry.hang = true;
  const first = install("1.0.0");
  while (!registry.asked.some((path) => path.endsWith("1.0.0.tgz"))) await sleep(20);
  let second: Promise<void> | undefined;
  await new Promise<void>((waits) => {
    second = install("2.0.0", { onWait: waits });
  });
  expect(registry.asked.filter((path) => path.endsWith("2.0.0.tgz"))).toEqual([]);
  registry.release();
  await Promise.all([first, second]);
  expect(await says()).toBe("codex-cli 2.0.0");
});

test("where there is no flock, two installs at once leave each other alone", async () => {
  for (const version of ["1.0.0", "2.0.0"]) await registry.publish(fakeCodex(version));
  registry.hang = true;
  process.env.PATH = join(folder, "nothing");
  try {
    const both: Promise<void>[] = [];
    for (const version of ["1.0.0", "2.0.0"]) {
      both.push(install(version));
      while (!registry.asked.some((path) => path.endsWith(`${version}.tgz`))) await sleep(20);
    }
    registry.release();
    expect(await Promise.allSettled(both)).toMatchObject([{ status: "fulfilled" }, { status: "fulfilled" }]);
  } finally {
    process.env.PATH = PATH;
  }
  expect(await says()).toMatch(/^codex-cli [12]\.0\.0$/);
  expect((await versions()).sort()).toEqual(["1.0.0", "2.0.0"]);
});

test("a flock that cannot be run is told", async () => {
  await mkdir(join(folder, "tools/flock"), { recursive: true });
  process.env.PATH = join(folder, "tools");
  try {
    await expect(install("1.0.0")).rejects.toMatchObject({
      name: "InstallFailed",
      message: expect.stringContaining("EACCES"),
    });
  } finally {
    process.env.PATH = PATH;
  }
});

test("out of file descriptors, an install fails and nothing is thrown past it", async () => {
  const program = `
    import { openSync } from "node:fs";
    import { codex } from ${JSON.stringify(join(import.meta.dirname, "../codex/index.ts"))};
    import { installAgent } from ${JSON.stringify(join(import.meta.dirname, "install.ts"))};
    import { runNpm } from ${JSON.stringify(join(import.meta.dirname, "npm.ts"))};
    try { for (;;) openSync("/dev/null"); } catch {}
    const environment = ${JSON.stringify(environment())};
    const error = await installAgent(codex, { npmPrefix: ${JSON.stringify(prefix())}, version: "1.0.0", environment })
      .catch((error) => error);
    const npm = await runNpm(["--version"], { cwd: "/", environment, timeoutMs: 10_000 });
    console.log(JSON.stringify([error.name, error.message, npm]));`;
  const script = 'ulimit -n 256; exec "$0" --import tsx --input-type=module -e "$1"';
  const { stdout, stderr } = await run("sh", ["-c", script, process.execPath, program]);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual([
    "InstallFailed",
    expect.stringContaining("EMFILE"),
    { exitCode: null, trouble: expect.stringMatching(/npm cannot be run: .*EMFILE/), lastWords: "" },
  ]);
});

test("a disk that fails in the middle of the change leaves a command that runs", async () => {
  for (const version of ["1.0.0", "2.0.0"]) await registry.publish(fakeCodex(version));
  await install("1.0.0");
  await rm(join(prefix(), "lib/node_modules"), { recursive: true });
  await writeFile(join(prefix(), "lib/node_modules"), "no folder");
  await expect(install("2.0.0")).rejects.toThrow(/EEXIST|ENOTDIR/);
  expect(await says()).toBe("codex-cli 2.0.0");
});

test("a prefix that is a link, and one that cannot be made", async () => {
  await registry.publish(fakeCodex("1.0.0"));
  await mkdir(join(folder, "real"));
  await run("ln", ["-s", join(folder, "real"), prefix()]);
  await install("1.0.0");
  expect(await says()).toBe("codex-cli 1.0.0");
  const finder = createInstallationFinder(prefix(), environment());
  expect(dirname(dirname((await finder.find(codex))?.path ?? ""))).toMatch(
    await realpath(join(folder, "real")),
  );
  await writeFile(join(folder, "file"), "");
  await expect(install("1.0.0", { npmPrefix: join(folder, "file/prefix") })).rejects.toMatchObject({
    name: "InstallFailed",
    message: expect.stringContaining("ENOTDIR"),
  });
  expect(await readFile(join(folder, "file"), "utf8")).toBe("");
  await expect(install("1.0.0", { npmPrefix: "/proc/none/prefix" })).rejects.toMatchObject({
    name: "InstallFailed",
    message: expect.stringContaining("ENOENT"),
  });
});

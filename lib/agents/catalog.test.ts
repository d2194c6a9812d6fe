import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Agent, ModelInfo } from "./agent.ts";
import { createModelCatalog } from "./catalog.ts";
import { codex } from "./codex/index.ts";
import { createInstallationFinder } from "./installation.ts";
import { createModelProbe } from "./model-probe.ts";
import type { Records } from "./records.ts";

let folder: string;
let records: Records;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "catalog-"));
  const kept = new Map<string, object>();
  records = {
    read: async (key) => kept.get(key) ?? null,
    write: async (key, value) => void kept.set(key, value),
    remove: async (key) => void kept.delete(key),
    children: async (prefix) =>
      [...kept.keys()]
        .filter((key) => key.startsWith(`${prefix}:`))
        .map((key) => key.slice(prefix.length + 1)),
  };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const info = (id: string): ModelInfo => ({
  id,
  display_name: id,
  deprecated: false,
  notes: null,
  supported_effort: [],
});
const lister: Agent = {
  ...codex,
  id: "lister",
  models: [{ version: "0.1.0", models: [info("seed")] }],
  modelProbe: { args: ["models"], read: (stdout) => stdout.split("\n").filter(Boolean).map(info) },
};

async function putCli(script: string) {
  const path = join(folder, "npm/bin/codex");
  await mkdir(join(folder, "npm/bin"), { recursive: true });
  await rm(path, { force: true });
  await writeFile(
    path,
    `#!/bin/sh\n[ "$1" = --version ] && echo 1.0.0 && exit 0\n[ "$1" = models ] || exit 0\n${script}\n`,
  );
  await chmod(path, 0o755);
}

function catalog() {
  const environment = { PATH: process.env.PATH, HOME: folder, OPENAI_API_KEY: "k", SECRET: "s" };
  const npmPrefix = join(folder, "npm");
  const finder = createInstallationFinder(npmPrefix, environment);
  return createModelCatalog({ finder, probe: createModelProbe({ npmPrefix, environment }), records });
}

describe("a CLI that lists its models", () => {
  test("is asked, once per installed version, with the keys it may see and no others", async () => {
    await putCli(
      `echo x >> ${folder}/asked; echo a/one; echo a/b/two; echo plain; env > ${folder}/env; pwd >> ${folder}/env`,
    );
    const at = catalog();
    const [models] = await Promise.all([at.models(lister), at.models(lister)]);
    expect(models).toMatchObject({
      source: "runtime_probe_cache",
      snapshot_version_used: "1.0.0",
      fallback_reason: null,
      models: [
        { id: "a/one", provider: "a", provider_id: "a", model: "one", source: "runtime_probe_cache" },
        { id: "a/b/two", provider: "a", model: "b/two" },
        { id: "plain", provider: null, model: "plain" },
      ],
    });
    expect(await readFile(join(folder, "asked"), "utf8")).toBe("x\n");
    const environment = await readFile(join(folder, "env"), "utf8");
    expect(environment).toContain("OPENAI_API_KEY=k");
    expect(environment).not.toContain("SECRET");
    expect(environment.trim().split("\n").at(-1)).not.toBe(process.cwd());
    await putCli("echo b/new");
    expect((await at.models(lister)).models).toMatchObject([{ id: "b/new" }]);
  });

  test.each(["exit 1", "exit 0", "kill -9 $$"])(
    "falls back to what is known when it does: %s",
    async (script) => {
      await putCli(script);
      expect(await catalog().models(lister)).toMatchObject({
        source: "pinned_snapshot",
        snapshot_version_used: "0.1.0",
        fallback_reason: "probe_failed",
        models: [{ id: "seed" }],
      });
    },
  );

  test("and takes no lists of operators", async () => {
    await putCli("echo a/one");
    await expect(catalog().addSnapshot(lister, [info("x")])).rejects.toMatchObject({
      code: "MODEL_SNAPSHOT_CONFLICT",
    });
  });
});

describe("lists of operators", () => {
  const old = { ...codex, models: [{ version: "0.1.0", models: [info("seed")] }] };

  test("are picked by the dotted numbers of a version; what follows them counts only when it is the same", async () => {
    const known = (...versions: string[]) => ({
      ...codex,
      models: versions.map((version) => ({ version, models: [info(version)] })),
    });
    const pickedOf = async (installed: string, ...versions: string[]) => {
      await putCli("");
      await writeFile(join(folder, "npm/bin/codex"), `#!/bin/sh\necho ${installed}\n`);
      const { snapshot_version_used, fallback_reason } = await catalog().models(known(...versions));
      return [snapshot_version_used, fallback_reason];
    };
    expect(await pickedOf("1.2.3", "1.2.3-beta")).toEqual(["1.2.3-beta", null]);
    expect(await pickedOf("1.2.3-beta", "1.2.3", "1.2.4")).toEqual(["1.2.3", null]);
    expect(await pickedOf("1.2.3", "1.2.3", "1.2.3-beta")).toEqual(["1.2.3", null]);
    expect(await pickedOf("1.10.0", "1.9.0", "1.11.0")).toEqual(["1.9.0", null]);
  });

  test("are kept for the installed version, and never changed", async () => {
    await putCli("");
    const added = await catalog().addSnapshot(old, [info("mine")]);
    expect(added).toMatchObject({
      cli_version_detected: "1.0.0",
      manifest: {
        engine: "codex",
        snapshots: [
          { version: "0.1.0", file: "models_0.1.0.json" },
          { version: "1.0.0", file: "models_1.0.0.json" },
        ],
      },
      resolved_snapshot_version: "1.0.0",
      resolved_snapshot_file: "models_1.0.0.json",
      models: [{ id: "mine" }],
    });
    // Another process finds it too.
    expect(await catalog().models(old)).toMatchObject({
      snapshot_version_used: "1.0.0",
      models: [{ id: "mine" }],
    });
    await expect(catalog().addSnapshot(old, [info("other")])).rejects.toMatchObject({
      code: "MODEL_SNAPSHOT_CONFLICT",
    });
    expect((await catalog().manifest(old)).models).toMatchObject([{ id: "mine" }]);
  });

  test("of two at once one is refused", async () => {
    await putCli("");
    const at = catalog();
    const both = await Promise.allSettled([
      at.addSnapshot(old, [info("a")]),
      at.addSnapshot(old, [info("b")]),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("need an installed CLI that says its version, and one the server has no list of", async () => {
    await expect(catalog().addSnapshot(old, [info("x")])).rejects.toMatchObject({
      code: "ENGINE_NOT_INSTALLED",
    });
    await putCli("");
    const known = { ...codex, models: [{ version: "1.0.0", models: [info("seed")] }] };
    await expect(catalog().addSnapshot(known, [info("x")])).rejects.toMatchObject({
      code: "MODEL_SNAPSHOT_CONFLICT",
    });
    await writeFile(join(folder, "npm/bin/codex"), "#!/bin/sh\necho nightly\n");
    await expect(catalog().addSnapshot(old, [info("x")])).rejects.toMatchObject({
      code: "MODEL_SNAPSHOT_CONFLICT",
    });
  });
});

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A package to be served: its manifest, and its files. */
export interface FakePackage {
  name: string;
  version: string;
  bin: Record<string, string>;
  /** Path -> content; files named by `bin` are made executable. */
  files: Record<string, string>;
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
}

/** An npm registry on 127.0.0.1 with packages made on the spot: tests install for real, with no network. */
export interface FakeRegistry {
  url: string;
  publish(fake: FakePackage): Promise<void>;
  /** Tarballs are asked for and do not come. */
  hang: boolean;
  /** They come after all. */
  release(): void;
  /** Paths that were asked for. */
  asked: string[];
  close(): Promise<void>;
}

export async function startRegistry(folder: string): Promise<FakeRegistry> {
  const packuments = new Map<string, { versions: Record<string, object>; "dist-tags": object }>();
  const tarballs = new Map<string, Buffer>();
  const held: (() => void)[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "").slice(1);
    registry.asked.push(path);
    const tarball = tarballs.get(path);
    if (tarball !== undefined) {
      if (registry.hang) held.push(() => response.end(tarball));
      else response.end(tarball);
      return;
    }
    const packument = packuments.get(path);
    response.statusCode = packument === undefined ? 404 : 200;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(packument ?? { error: "not found" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const url = `http://127.0.0.1:${address.port}/`;
  const registry: FakeRegistry = {
    url,
    hang: false,
    asked: [],
    release() {
      registry.hang = false;
      for (const answer of held.splice(0)) answer();
    },
    async publish({ files, ...manifest }) {
      const packed = join(folder, `${manifest.name}-${manifest.version}`);
      const source = join(packed, "package");
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(source, path)), { recursive: true });
        await writeFile(join(source, path), content);
      }
      for (const path of Object.values(manifest.bin)) await chmod(join(source, path), 0o755).catch(() => {});
      await mkdir(source, { recursive: true });
      await writeFile(join(source, "package.json"), JSON.stringify(manifest));
      // What `npm pack` makes, in a twentieth of its time.
      const { stdout: tarball } = await run("tar", ["-cz", "package"], { cwd: packed, encoding: "buffer" });
      const path = `${manifest.name}/-/${manifest.name.replace(/^@.*\//, "")}-${manifest.version}.tgz`;
      tarballs.set(path, tarball);
      const packument = packuments.get(manifest.name) ?? { versions: {}, "dist-tags": {} };
      packument.versions[manifest.version] = {
        ...manifest,
        ...(manifest.scripts === undefined ? {} : { hasInstallScript: true }),
        dist: {
          tarball: url + path,
          integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
        },
      };
      packument["dist-tags"] = { latest: manifest.version };
      packuments.set(manifest.name, Object.assign(packument, { name: manifest.name }));
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return registry;
}

/** A package in the place of codex, whose command prints its version and does nothing else. */
export function fakeCodex(version: string, more: Partial<FakePackage> = {}): FakePackage {
  return {
    name: "@openai/codex",
    version,
    bin: { codex: "bin/codex.js" },
    files: { "bin/codex.js": `#!/usr/bin/env node\nconsole.log("codex-cli ${version}");\n` },
    ...more,
  };
}

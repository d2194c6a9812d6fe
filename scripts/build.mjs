// Bundles the server and every function into dist/: a process start reads one file, and later nothing of itself.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const sources = ["functions", "lib", "runtime"];

/** Changes when any source file, or this script, or a dependency's version does. */
export function sourceStamp() {
  const hash = createHash("sha256");
  const files = sources.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)),
  );
  for (const file of [...files.sort(), "scripts/build.mjs", "package-lock.json"]) {
    const info = statSync(join(root, file));
    if (info.isFile()) hash.update(`${file}:${info.size}:${info.mtimeMs}\n`);
  }
  return hash.digest("hex");
}

// zod brings its messages in fifty languages; a start would read them all.
const englishOnly = {
  name: "zod-english-only",
  setup(bundler) {
    bundler.onResolve({ filter: /locales\/index\.js$/ }, (found) =>
      found.importer.includes("/node_modules/zod/")
        ? { path: join(found.resolveDir, "../locales/en.js"), namespace: "zod-en" }
        : null,
    );
    bundler.onLoad({ filter: /.*/, namespace: "zod-en" }, (file) => ({
      contents: `export { default as en } from ${JSON.stringify(file.path)};`,
      resolveDir: dirname(file.path),
    }));
  },
};

// A server that is out of descriptors, or whose dist/ is built anew, can still begin to use any part of itself: Node
// would remember a failed import for good. Each file is evaluated when it is first used.
const functionTable = {
  name: "function-table",
  setup(bundler) {
    bundler.onLoad({ filter: /\/runtime\/function-files\.ts$/ }, () => {
      const files = readdirSync(join(root, "functions"), { recursive: true }).filter((file) =>
        /\.(get|post|put|patch|delete)\.ts$/.test(file),
      );
      const rows = files.sort().map((file) => {
        const path = JSON.stringify(`../functions/${file}`);
        return `[${JSON.stringify(file)}, () => import(${path})]`;
      });
      const contents = `export const functionFiles = async () => new Map([${rows.join(",\n")}]);`;
      return { contents, loader: "js", resolveDir: join(root, "runtime") };
    });
  },
};

// What few servers need is read by those alone: the client of a storage that is no folder, the packing of folders for it, the queue
// of several servers. Classes are not the same ones in there: errors that come out are known by their names.
const apart = [
  ...["redis", "postgres", "sqlite", "s3"].map((name) => `lib/storage/drivers/${name}`),
  ...["lib/archives/tarball", "lib/queue/open-queue"],
];
const kindsApart = {
  name: "kinds-apart",
  setup(bundler) {
    bundler.onResolve({ filter: /\/[\w-]+\.ts$/ }, ({ kind, path, resolveDir }) => {
      if (kind !== "dynamic-import") return null;
      const named = relative(root, join(resolveDir, path)).replace(/\.ts$/, "");
      return apart.includes(named) ? { path: `../${named}.js`, external: true } : null;
    });
  },
};

export async function build() {
  const stamp = sourceStamp();
  // Built beside and swapped in, so that nobody starts from a half-built dist/.
  const building = `.dist-${process.pid}`;
  const out = join(root, building);
  mkdirSync(out);
  await esbuild({
    absWorkingDir: root,
    entryPoints: [
      "runtime/main.ts",
      "runtime/agent-manager.ts",
      "runtime/cli.ts",
      ...apart.map((name) => `${name}.ts`),
    ],
    outdir: building,
    outbase: ".",
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    sourcemap: true,
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    plugins: [englishOnly, functionTable, kindsApart],
    logLevel: "warning",
    // swagger-ui-dist is files to serve, not code to run.
    external: ["swagger-ui-dist", "pg-native"],
    // Bundled CommonJS packages still call require() for Node's own modules.
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
  writeFileSync(join(out, "package.json"), readFileSync(join(root, "package.json")));
  writeFileSync(join(out, ".stamp"), stamp);
  const old = join(root, `.dist-old-${process.pid}`);
  if (existsSync(join(root, "dist"))) renameSync(join(root, "dist"), old);
  renameSync(out, join(root, "dist"));
  rmSync(old, { recursive: true, force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();

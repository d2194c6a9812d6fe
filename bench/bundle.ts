import { basename, join } from "node:path";
import { build } from "esbuild";

/** Makes one plain JavaScript file of a bench program, as dist/ is made: what is compared runs without a loader. */
export async function bundle(source: string, folder: string): Promise<string> {
  const outfile = join(folder, `${basename(source, ".ts")}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, source)],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: true,
    logLevel: "warning",
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
  return outfile;
}

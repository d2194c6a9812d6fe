import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const mark = "# A stand-in for the iFlow CLI";

/**
 * Puts the stand-in into an npm prefix as `iflow`, unless somebody has a real one there. It is bundled: the runner's sandbox
 * hides this checkout.
 */
export async function installIflowStandIn(prefix: string): Promise<void> {
  const path = join(prefix, "bin/iflow");
  const present = await readFile(path, "utf8").catch(() => mark);
  if (!present.includes(mark)) return;
  await mkdir(join(prefix, "bin"), { recursive: true });
  const main = join(import.meta.dirname, "main.ts");
  const bundle = join(prefix, "lib/iflow-stand-in.mjs");
  await build({
    entryPoints: [main],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
  const quoted = [process.execPath, bundle].map((part) => `'${part}'`).join(" ");
  // exec: a signal to this process is one to the stand-in.
  await writeFile(path, `#!/bin/sh\n${mark}: see ${main}\nexec ${quoted} "$@"\n`);
  await chmod(path, 0o755);
}

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const mark = "# A stand-in for the iFlow CLI";

/**
 * Puts the stand-in into an npm prefix as `iflow`, unless somebody has a real one there. It runs from this checkout,
 * whose node_modules it needs.
 */
export async function installIflowStandIn(prefix: string): Promise<void> {
  const path = join(prefix, "bin/iflow");
  const present = await readFile(path, "utf8").catch(() => mark);
  if (!present.includes(mark)) return;
  await mkdir(join(prefix, "bin"), { recursive: true });
  const main = join(import.meta.dirname, "main.ts");
  const command = [process.execPath, "--import", import.meta.resolve("tsx"), main];
  const quoted = command.map((part) => `'${part}'`).join(" ");
  // exec: a signal to this process is one to the stand-in.
  await writeFile(path, `#!/bin/sh\n${mark}: see ${main}\nexec ${quoted} "$@"\n`);
  await chmod(path, 0o755);
}

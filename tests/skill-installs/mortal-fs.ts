// Kills this process right before its DIE_AT-th change to a disk, as `kill -9` may at any moment. To be imported first.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

const dieAt = Number(process.env.DIE_AT ?? 0);
let changes = 0;

const { readdirSync, unlinkSync } = fs;
// biome-ignore lint/suspicious/noExplicitAny: any function of node:fs
type Call = (...args: any[]) => unknown;

function mortal<T extends Call>(name: string, call: T): Call {
  return (...args) => {
    const isRead = /^open/.test(name) && (args[1] === undefined || args[1] === "r");
    if (!isRead) {
      changes += 1;
      if (changes === dieAt) {
        if (name === "rm") removeOneFile(String(args[0]));
        process.kill(process.pid, "SIGKILL");
      }
    }
    return call(...args);
  };
}

/** A folder is not removed at once: one that is being removed lacks some of its files. */
function removeOneFile(folder: string): void {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const file = entries.find((entry) => entry.isFile());
    if (file !== undefined) unlinkSync(join(file.parentPath, file.name));
  } catch {
    // There was none.
  }
}

const changing = [
  "rename",
  "mkdir",
  "rm",
  "rmdir",
  "unlink",
  "open",
  "writeFile",
  "chmod",
  "copyFile",
] as const;
for (const name of changing) {
  Object.assign(fs.promises, { [name]: mortal(name, fs.promises[name]) });
  Object.assign(fs, { [`${name}Sync`]: mortal(name, fs[`${name}Sync`]) });
}
Object.assign(fs, { fsync: mortal("fsync", fs.fsync) });
syncBuiltinESMExports();

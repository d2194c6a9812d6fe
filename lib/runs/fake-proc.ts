import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeProcess {
  parent?: number;
  group?: number;
  session?: number;
  start?: number;
  threads?: number;
  pages?: number;
  name?: string;
  /** Further files: name -> content; a folder for each name that ends with "/". */
  files?: Record<string, string>;
}

/** Test support: a folder that looks like /proc, for what real processes will not do when they are told to. */
export function fakeProc() {
  const folder = mkdtempSync(join(tmpdir(), "proc-"));
  mkdirSync(join(folder, "self"));
  return {
    folder,
    put(pid: number, process: FakeProcess = {}) {
      const { parent = 1, group = pid, session = pid, start = 100, threads = 1, pages = 10 } = process;
      const { name = "cli", files = {} } = process;
      mkdirSync(join(folder, String(pid)), { recursive: true });
      // Fields 3 to 24 of proc_pid_stat(5).
      const fields = ["S", parent, group, session, ...Array(13).fill(0), threads, 0, start, 1e6, pages];
      writeFileSync(join(folder, String(pid), "stat"), `${pid} (${name}) ${fields.join(" ")} 0 0\n`);
      for (const [file, content] of Object.entries(files)) {
        const path = join(folder, String(pid), file);
        if (file.endsWith("/")) mkdirSync(path);
        else writeFileSync(path, content);
      }
    },
    end(pid: number) {
      rmSync(join(folder, String(pid)), { recursive: true });
    },
    remove() {
      rmSync(folder, { recursive: true });
    },
  };
}

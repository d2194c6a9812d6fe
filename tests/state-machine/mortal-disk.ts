import { existsSync, readFileSync, statSync, truncateSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Driver } from "unstorage";

/** What becomes of one write of a record: done, not done, or done and yet reported as failed. */
export type WriteFault = "none" | "refused" | "late";
/** What becomes of one write to the event log: done, or half of it. */
export type LogFault = "none" | "torn";

interface Moment {
  records: Map<string, string>;
  logBytes: number;
}

/**
 * Records in memory and one event log on disk, as a process that is killed leaves them: after any of its writes of a
 * record, and any byte of the log that lies between two of them. Writes can be made to fail, too.
 */
export class MortalDisk {
  readonly #log: string;
  #records = new Map<string, string>();
  #moments: Moment[] = [];
  #writeFaults: WriteFault[] = [];
  #logFaults: LogFault[] = [];

  constructor(log: string) {
    this.#log = log;
  }

  /** Begins to note what is written, so that `crash` can take it back. */
  begin(writeFaults: readonly WriteFault[] = [], logFaults: readonly LogFault[] = []): void {
    this.#writeFaults = [...writeFaults];
    this.#logFaults = [...logFaults];
    this.#moments = [{ records: new Map(this.#records), logBytes: Buffer.byteLength(this.log().whole) }];
  }

  /** Writes of records since `begin`. */
  get writes(): number {
    return this.#moments.length - 1;
  }

  get logBytes(): number {
    return existsSync(this.#log) ? statSync(this.#log).size : 0;
  }

  /** The log's whole lines, and as they are parsed. */
  log() {
    const text = existsSync(this.#log) ? readFileSync(this.#log, "utf8") : "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const lines = whole.split("\n").slice(0, -1);
    return { whole, events: lines.map((line) => JSON.parse(line)) };
  }

  record(key: string): unknown {
    const text = this.#records.get(key);
    return text === undefined ? null : JSON.parse(text);
  }

  keys(): string[] {
    return [...this.#records.keys()];
  }

  /**
   * Dies behind a write, with a part of what was then written to the log.
   * @param write which one, modulo how many there were
   * @param part how much of the log, in thousandths of what came before the next write
   */
  crash(write: number, part: number): { write: number; logBytes: number } {
    const at = write % this.#moments.length;
    const moment = this.#moments[at];
    if (moment === undefined) throw new Error("begin() comes first");
    const most = this.#moments[at + 1]?.logBytes ?? this.logBytes;
    const least = Math.min(moment.logBytes, most);
    const logBytes = least + Math.floor(((most - least) * (part % 1001)) / 1000);
    this.#records = new Map(moment.records);
    if (existsSync(this.#log)) truncateSync(this.#log, logBytes);
    return { write: at, logBytes };
  }

  driver(): Driver {
    const changing = (change: () => void) => {
      const fault = this.#writeFaults.shift() ?? "none";
      if (fault === "refused") throw diskFull();
      change();
      this.#moments.push({ records: new Map(this.#records), logBytes: this.logBytes });
      if (fault === "late") throw diskFull();
    };
    return {
      name: "mortal",
      hasItem: (key) => this.#records.has(key),
      getItem: (key) => this.#records.get(key) ?? null,
      setItem: (key, value) => changing(() => this.#records.set(key, value)),
      removeItem: (key) => changing(() => this.#records.delete(key)),
      getKeys: () => this.keys(),
    };
  }

  /** In the place of a file's `appendFile`. */
  async append(file: FileHandle, data: string, write: (part: string) => Promise<void>): Promise<void> {
    if (existsSync(this.#log) && (await file.stat()).ino !== statSync(this.#log).ino) return write(data);
    if ((this.#logFaults.shift() ?? "none") === "none") return write(data);
    await write(data.slice(0, data.length / 2));
    throw diskFull();
  }
}

export function diskFull(): Error {
  return Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
}

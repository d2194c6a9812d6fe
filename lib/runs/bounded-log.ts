import { createWriteStream, type WriteStream } from "node:fs";
import { finished } from "node:stream/promises";

/** Most that is kept of each log; what comes after is counted out, not stored: a run must not fill the disk. */
export const maxLogBytes = 64 * 1024 * 1024;

export interface BoundedLog {
  write(chunk: Buffer, source: { pause(): unknown; resume(): unknown } | null): void;
  close(): Promise<void>;
}

/**
 * A log file that stops growing at `maxLogBytes`, and slows its source down instead of buffering in memory. It is made
 * when there is something to write.
 */
export function boundedLog(path: string): BoundedLog {
  let file: WriteStream | undefined;
  let room = maxLogBytes;
  const opened = () => {
    file ??= createWriteStream(path, { flags: "w" })
      // Logs are for reading afterwards: a full disk must not end the agent's turn. It is seen where it matters, in records.
      .on("error", () => undefined);
    return file;
  };
  return {
    write(chunk, source) {
      const log = opened();
      if (room <= 0 || log.destroyed) return;
      const kept = chunk.subarray(0, room);
      room -= kept.length;
      const flowing = log.write(kept);
      if (room <= 0) log.write("\n[skill-runner: the log was cut here]\n");
      else if (!flowing && source) {
        source.pause();
        const goOn = () => {
          log.off("drain", goOn).off("close", goOn);
          source.resume();
        };
        log.once("drain", goOn).once("close", goOn);
      }
    },
    async close() {
      if (file === undefined) return;
      file.end();
      await finished(file).catch(() => undefined);
    },
  };
}

import type { FileHandle } from "node:fs/promises";
import { isJsonObject, parseJson } from "../json.ts";
import { openIfThere } from "../open-if-there.ts";
import type { WrittenLine } from "./event-log.ts";

/** Reads a run's log from the beginning on, piece by piece, as far as whole lines go. */
export interface EventReader {
  /** The next lines, at most about `maxBytes` of them; none when there is no more whole line yet. */
  next(maxBytes: number): Promise<WrittenLine[]>;
  /** Goes on behind a line that came from elsewhere. */
  skipTo(line: WrittenLine): void;
  /** Looks at the path anew: another file with the same beginning may lie there by now. */
  reopen(): Promise<void>;
  close(): Promise<void>;
}

const newline = 0x0a;

export function createEventReader(path: string): EventReader {
  let file: FileHandle | null = null;
  let seq = 0;
  let offset = 0;
  let closed = false;
  return {
    async next(maxBytes) {
      if (closed) return [];
      file ??= await openIfThere(path);
      // A line longer than a piece is read with a larger one.
      for (let most = maxBytes; file !== null; most *= 4) {
        // Whoever reads went away meanwhile, perhaps before there was anything to close.
        if (closed) break;
        const buffer = Buffer.allocUnsafe(most);
        const { bytesRead } = await file.read(buffer, 0, most, offset);
        const piece = buffer.subarray(0, bytesRead);
        const end = piece.lastIndexOf(newline) + 1;
        if (end === 0 && bytesRead === most) continue;
        const lines: WrittenLine[] = [];
        for (let from = 0; from < end; ) {
          const to = piece.indexOf(newline, from);
          const text = piece.toString("utf8", from, to);
          seq += 1;
          lines.push({ seq, text, end: offset + to + 1, last: tellsTheEnd(text) });
          from = to + 1;
        }
        offset += end;
        return lines;
      }
      if (closed) await file?.close();
      return [];
    },
    skipTo(line) {
      seq = line.seq;
      offset = line.end;
    },
    async reopen() {
      const before = file;
      file = null;
      await before?.close();
    },
    async close() {
      closed = true;
      await file?.close();
    },
  };
}

/** Looked for in the text first: most lines need not be parsed. */
function tellsTheEnd(text: string): boolean {
  if (!text.includes('"type":"conversation.state.changed"') || !text.includes('"terminal":{')) return false;
  const event = parseJson(text);
  return isJsonObject(event) && event.type === "conversation.state.changed";
}

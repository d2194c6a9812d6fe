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
  /**
   * Looks at the path anew: another file may lie there by now.
   * @returns false when the last line that was read is another one in it; then there is nothing more to read
   */
  reopen(): Promise<boolean>;
  close(): Promise<void>;
}

const newline = 0x0a;
/** Bytes in which a place is looked for. */
const lookBytes = 256 * 1024;

export function createEventReader(path: string): EventReader {
  let file: { handle: FileHandle; ino: number } | null = null;
  /** What was read last, and where the next line begins in the file, once that is known. */
  let last: { seq: number; text: string } | null = null;
  let offset: number | null = 0;
  let closed = false;

  async function open(): Promise<void> {
    const handle = await openIfThere(path);
    if (closed) return handle?.close();
    const before = file;
    const ino = (await handle?.stat())?.ino ?? 0;
    // Compared while both are open: the number of a file that is gone can be another's.
    if (ino !== before?.ino) offset = last === null ? 0 : null;
    file = handle === null ? null : { handle, ino };
    await before?.handle.close();
    // It was closed meanwhile, and saw the one before.
    if (closed) await handle?.close();
  }

  /** Looks for the place in another file. @returns false when there is another line in it */
  async function place(): Promise<boolean> {
    if (file === null || offset !== null || last === null) return true;
    const there = await lineAt(file.handle, last.seq);
    // Behind what was read: the rest may come.
    if (there === null) return true;
    if (there.text !== last.text) return false;
    offset = there.end;
    return true;
  }

  return {
    async next(maxBytes) {
      if (closed) return [];
      if (file === null) await open();
      await place();
      // A line longer than a piece is read with a larger one.
      for (let most = maxBytes; file !== null && offset !== null; most *= 4) {
        // Whoever reads went away meanwhile, perhaps before there was anything to close.
        if (closed) break;
        const from = offset;
        const buffer = Buffer.allocUnsafe(most);
        const { bytesRead } = await file.handle.read(buffer, 0, most, from);
        const piece = buffer.subarray(0, bytesRead);
        const end = piece.lastIndexOf(newline) + 1;
        if (end === 0 && bytesRead === most) continue;
        const lines: WrittenLine[] = [];
        for (let at = 0; at < end; ) {
          const to = piece.indexOf(newline, at);
          const text = piece.toString("utf8", at, to);
          last = { seq: (last?.seq ?? 0) + 1, text };
          lines.push({ ...last, end: from + to + 1, last: tellsTheEnd(text) });
          at = to + 1;
        }
        offset = from + end;
        return lines;
      }
      if (closed) await file?.handle.close();
      return [];
    },
    skipTo({ seq, text, end }) {
      last = { seq, text };
      offset = end;
    },
    async reopen() {
      if (closed) return true;
      await open();
      return place();
    },
    async close() {
      closed = true;
      await file?.handle.close();
    },
  };
}

/** A line by its number, and where the next one begins; null when there are not as many. */
async function lineAt(file: FileHandle, seq: number): Promise<{ text: string; end: number } | null> {
  let passed = 0;
  let pieces: Buffer[] = [];
  for (let from = 0; ; ) {
    const buffer = Buffer.allocUnsafe(lookBytes);
    const { bytesRead } = await file.read(buffer, 0, lookBytes, from);
    if (bytesRead === 0) return null;
    const piece = buffer.subarray(0, bytesRead);
    for (let at = 0; at < bytesRead; ) {
      const to = piece.indexOf(newline, at);
      if (passed === seq - 1) pieces.push(piece.subarray(at, to === -1 ? bytesRead : to));
      if (to === -1) break;
      passed += 1;
      if (passed === seq) return { text: Buffer.concat(pieces).toString("utf8"), end: from + to + 1 };
      pieces = [];
      at = to + 1;
    }
    from += bytesRead;
  }
}

/** Looked for in the text first: most lines need not be parsed. */
function tellsTheEnd(text: string): boolean {
  if (!text.includes('"type":"conversation.state.changed"') || !text.includes('"terminal":{')) return false;
  const event = parseJson(text);
  return isJsonObject(event) && event.type === "conversation.state.changed";
}

import { StringDecoder } from "node:string_decoder";

/** Longest line that is kept whole, in UTF-16 units. A CLI that prints a gigabyte without a newline costs this much. */
export const maxLineLength = 1024 * 1024;

/** Where a line lies in its stream: the first byte of it, and the first behind it, its end left out. */
export interface LineBytes {
  from: number;
  to: number;
}

const newline = 0x0a;

/**
 * Cuts a byte stream into lines with bounded memory: `onLine` gets each whole line without its end ("\n" or "\r\n");
 * of a longer one it gets nothing, and `onOverflow` is told once. Bytes that are no UTF-8 become U+FFFD.
 */
export function createLineSplitter(
  onLine: (line: string, bytes: LineBytes) => void,
  onOverflow: () => void,
  limit = maxLineLength,
) {
  const decoder = new StringDecoder("utf8");
  let pending = "";
  let dropping = false;
  /** Bytes that came before the present piece, and before the present line. */
  let seen = 0;
  let lineStart = 0;
  const hold = (text: string) => {
    if (dropping) return;
    if (pending.length + text.length > limit) {
      dropping = true;
      pending = "";
      onOverflow();
    } else {
      pending += text;
    }
  };
  const finish = (end: number) => {
    // A character that the line's end cut off is none.
    hold(decoder.end());
    if (!dropping) {
      const text = pending.endsWith("\r") ? pending.slice(0, -1) : pending;
      onLine(text, { from: lineStart, to: end });
    }
    pending = "";
    dropping = false;
  };
  return {
    write(chunk: Buffer) {
      let start = 0;
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
        hold(decoder.write(chunk.subarray(start, end)));
        finish(seen + end);
        start = end + 1;
        lineStart = seen + start;
      }
      if (start < chunk.length) hold(decoder.write(chunk.subarray(start)));
      seen += chunk.length;
    },
    /** Hands over a last line that had no end. */
    end() {
      hold(decoder.end());
      if (pending !== "") finish(seen);
    },
  };
}

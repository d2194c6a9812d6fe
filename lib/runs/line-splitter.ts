import { StringDecoder } from "node:string_decoder";

/** Longest line that is kept whole, in UTF-16 units. A CLI that prints a gigabyte without a newline costs this much. */
export const maxLineLength = 1024 * 1024;

/**
 * Cuts a byte stream into lines with bounded memory: `onLine` gets each whole line without its end ("\n" or "\r\n");
 * of a longer one it gets nothing, and `onOverflow` is told once. Bytes that are no UTF-8 become U+FFFD.
 */
export function createLineSplitter(
  onLine: (line: string) => void,
  onOverflow: () => void,
  limit = maxLineLength,
) {
  const decoder = new StringDecoder("utf8");
  let pending = "";
  let dropping = false;
  const take = (text: string) => {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      finish(text.slice(start, end));
      start = end + 1;
    }
    hold(text.slice(start));
  };
  const finish = (rest: string) => {
    hold(rest);
    if (!dropping) onLine(pending.endsWith("\r") ? pending.slice(0, -1) : pending);
    pending = "";
    dropping = false;
  };
  const hold = (rest: string) => {
    if (dropping) return;
    if (pending.length + rest.length > limit) {
      dropping = true;
      pending = "";
      onOverflow();
    } else {
      pending += rest;
    }
  };
  return {
    write: (chunk: Buffer) => take(decoder.write(chunk)),
    /** Hands over a last line that had no end. */
    end() {
      take(decoder.end());
      if (pending !== "") finish("");
    },
  };
}

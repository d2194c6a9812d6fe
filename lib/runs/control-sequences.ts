// Bytes as latin1, one character each: what is no UTF-8, or half a character at a border, must come out as it was.
// ECMA-48, 5.4 (CSI), 8.3.89 (OSC, ended by BEL or ST; never over a line's end), and the other ones of ESC. Not CSI as the one
// character U+009B: JSON leaves that as it is, and what follows it there are quotes and braces.
const whole =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are
const begun = /(?:\x1b\[[0-?]*[ -/]*|\x1b\][^\x07\x1b\r\n]*\x1b?|\x1b[ -/]*)$/;
/** Longest that is waited for the end of, in bytes. */
const longest = 1024;
const firstByte = 0x1b;

/**
 * Takes a terminal's control sequences (colours) out of a stream of bytes, also where one is cut by the border of two pieces: a
 * word with a colour in it is whole again before anybody looks for it.
 */
export function createSequenceRemover(): { push(piece: Buffer): Buffer; end(): Buffer } {
  let held: Buffer = Buffer.alloc(0);
  return {
    push(piece) {
      if (held.length === 0 && !piece.includes(firstByte)) return piece;
      const text = Buffer.concat([held, piece]).toString("latin1").replace(whole, "");
      const at = text.search(begun);
      const cut = at < 0 || text.length - at > longest ? text.length : at;
      held = Buffer.from(text.slice(cut), "latin1");
      return Buffer.from(text.slice(0, cut), "latin1");
    },
    end() {
      const last = held;
      held = Buffer.alloc(0);
      return last;
    },
  };
}

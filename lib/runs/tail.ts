import { openIfThere } from "../open-if-there.ts";

/** The last `most` bytes of a file as text, cut at a line where it can be. A file that is not there is empty. */
export async function readTail(path: string, most: number): Promise<{ text: string; truncated: boolean }> {
  const file = await openIfThere(path);
  if (file === null) return { text: "", truncated: false };
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - most);
    const buffer = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    const text = buffer.toString("utf8", 0, bytesRead);
    return from === 0
      ? { text, truncated: false }
      : { text: text.slice(text.indexOf("\n") + 1), truncated: true };
  } finally {
    await file.close();
  }
}

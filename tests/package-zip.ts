import { type FixtureEntry, makeZip } from "../lib/archives/zip-fixture.ts";

/** The zip of files (text, or data as JSON) that lie in one folder called `id`. */
export function packageZip(id: string, files: Readonly<Record<string, unknown>>): Buffer {
  return zipOf(
    Object.fromEntries(Object.entries(files).map(([path, content]) => [`${id}/${path}`, content])),
  );
}

/** The zip of these files. A path that ends in "/" is an empty folder. */
export function zipOf(files: Readonly<Record<string, unknown>>): Buffer {
  return makeZip(Object.entries(files).map(([name, content]) => entryOf(name, content)));
}

/** A file with the executable bit. */
export const executable = (content: string) => new Executable(content);

class Executable {
  readonly content: string;
  constructor(content: string) {
    this.content = content;
  }
}

function entryOf(name: string, content: unknown): FixtureEntry {
  if (name.endsWith("/")) return { name, mode: 0o040755 };
  if (content instanceof Executable) return { name, content: content.content, mode: 0o100755 };
  return { name, content: typeof content === "string" ? content : JSON.stringify(content) };
}

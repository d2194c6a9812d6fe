import { foldName } from "./entry-name.ts";
import { invalidEntry, printable } from "./refusals.ts";

export type EntryKind = "file" | "folder";

interface Node {
  kind: EntryKind;
  spelling: string;
  /** False while a folder is only known as the parent of others. */
  listed: boolean;
  children: Map<string, Node>;
}

const rename = "Rename one of them and make the zip again.";

/** The paths of one archive: refuses those that would land on each other on some file system. */
export class EntryTree {
  readonly #root = new Map<string, Node>();

  /** Throws ARCHIVE_INVALID when `path` (checked, without trailing slash) clashes with one added before. */
  add(path: string, kind: EntryKind): void {
    const segments = path.split("/");
    let level = this.#root;
    for (const [index, segment] of segments.entries()) {
      const last = index === segments.length - 1;
      const node = this.#enter(level, segment, last ? kind : "folder", path);
      if (last) {
        if (node.listed)
          throw invalidEntry(path, { problem: "is in the archive more than once", remedy: rename });
        node.listed = true;
      }
      level = node.children;
    }
  }

  #enter(level: Map<string, Node>, spelling: string, kind: EntryKind, path: string): Node {
    const key = foldName(spelling);
    const known = level.get(key);
    if (known === undefined) {
      const node: Node = { kind, spelling, listed: false, children: new Map() };
      level.set(key, node);
      return node;
    }
    if (known.spelling !== spelling) {
      const problem = `is the same as ${printable(known.spelling)} but for upper and lower case or accents`;
      throw invalidEntry(path, { problem, remedy: rename });
    }
    if (known.kind !== kind) {
      const problem = `needs ${printable(spelling)} to be both a file and a folder`;
      throw invalidEntry(path, { problem, remedy: rename });
    }
    return known;
  }
}

import { lstatSync, rmSync } from "node:fs";
import { join, sep } from "node:path";

/** Removes what is no folder on the way to one below a workspace: an agent may have left a link there that leads elsewhere. */
export function dropLinks(workspace: string, relative: string): void {
  let at = workspace;
  for (const name of relative.split(sep)) {
    at = join(at, name);
    const found = lstatSync(at, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isDirectory()) rmSync(at);
  }
}

import { foldersPrefix } from "../lib/runs/index.ts";

/** With what the keys of all records begin that a server keeps. What else lies in a storage is somebody else's. */
export const recordNames: readonly string[] = [
  ...["active", "runs", foldersPrefix, "secrets", "stops", "cache", "idempotency"],
  ...["models", "upgrades", "skill_installs", "estimates", "nodes"],
];

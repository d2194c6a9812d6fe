import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { recordNames } from "./record-names.ts";

const root = join(import.meta.dirname, "..");
/** Parts of the server that keep records, and a lock's name that is spelled like one of theirs. */
const rooms = ["lib/agents", "lib/capacity/estimates.ts", "lib/runs", "lib/skills", "runtime"];
const locks = ["skill"];

test("whatever keeps records keeps them under a name that is copied", () => {
  const files = rooms.flatMap((room) =>
    room.endsWith(".ts")
      ? [room]
      : readdirSync(join(root, room), { recursive: true, encoding: "utf8" }).map((name) => join(room, name)),
  );
  const spelled = files
    .filter((file) => /(?<!\.test|\.test-support)\.ts$/.test(file))
    .map((file) => readFileSync(join(root, file), "utf8"))
    .filter((text) => text.includes("records"))
    .flatMap((text) => [
      ...text.matchAll(/`([a-z_]+):\$\{/g),
      ...text.matchAll(/records\.\w+\("([a-z_]+)/g),
      ...text.matchAll(/[pP]refix = "([a-z_]+)"/g),
    ])
    .map(([, name]) => name ?? "");
  expect([...new Set(spelled)].filter((name) => !locks.includes(name)).sort()).toEqual(
    [...recordNames].sort(),
  );
});

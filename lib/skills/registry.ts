import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { RunnerError } from "../errors.ts";
import { describeSkill, type SkillSummary } from "./describe.ts";
import { fingerprint, listPackage } from "./package-files.ts";
import { isSafeSkillId, looksLikeSkill, readSkill } from "./read-skill.ts";
import { createSchemaReader } from "./schemas.ts";
import type { Skill } from "./skill.ts";
import { asStorageFailure } from "./storage-failure.ts";

export interface SkillRegistry {
  /** Every skill folder, sorted by id, broken ones too. The same array object until something has changed. */
  list(): Promise<readonly Skill[]>;
  /** The same as the API shows them; the same frozen array until something has changed. */
  summaries(): Promise<readonly SkillSummary[]>;
  /**
   * One skill as its folder is at this moment, or was at most `maxAgeMs` ago.
   * @throws RunnerError SKILL_NOT_FOUND
   */
  get(id: string, options?: { maxAgeMs?: number }): Promise<Skill>;
}

export interface SkillRegistryOptions {
  /** Folder that holds one folder per skill. It may be missing: then there are no skills. */
  root: string;
  /** Engines this server has. */
  engines: readonly string[];
  /** How old the listing may be, in milliseconds. */
  sweepIntervalMs?: number;
}

interface Known {
  fingerprint: string;
  skill: Skill;
  /** When its folder was last looked at, on the clock of `performance.now`. */
  lookedAt: number;
  /** Orders looks at one folder, so that a slow one never overwrites what a later one saw. */
  look: number;
}

/** How recent a change must be for the file system's clock to be unable to tell it from another one, in ms. */
const clockGrainMs = 50;

/** Knows the skills of a folder. Changes are found by looking, not by watching: mounts and copies give no events. */
export function createSkillRegistry(options: SkillRegistryOptions): SkillRegistry {
  const { engines, sweepIntervalMs = 250 } = options;
  const root = resolve(options.root);
  const schemas = createSchemaReader();
  const known = new Map<string, Known>();
  const reading = new Map<string, Promise<Skill>>();
  let listed: readonly Skill[] = [];
  let described: { skills: readonly Skill[]; summaries: readonly SkillSummary[] } = {
    skills: listed,
    summaries: Object.freeze([]),
  };
  let sweeping: Promise<void> | null = null;
  let sweptAt = Number.NEGATIVE_INFINITY;
  let looks = 0;

  async function look(id: string): Promise<Skill | null> {
    looks += 1;
    const mine = looks;
    const dir = join(root, id);
    const listing = await listPackage(dir).catch((error: unknown) => {
      // What cannot be looked at for the moment is not gone.
      if (isShortage(error)) throw asStorageFailure(error, `The skill "${id}" could not be read`);
      return null;
    });
    const before = known.get(id);
    if (listing === null || !looksLikeSkill(listing)) {
      if (before && before.look < mine) known.delete(id);
      return null;
    }
    const changed = Math.max(...listing.files.map((file) => file.ctimeMs));
    // Two writes within one tick of the clock look alike, so a fresh file is read again until it has settled.
    const settled = Math.abs(Date.now() - changed) > clockGrainMs;
    const print = settled ? fingerprint(listing) : `${fingerprint(listing)}~${mine}`;
    if (before?.fingerprint === print) {
      before.lookedAt = performance.now();
      return before.skill;
    }
    const key = `${id}/${print}`;
    const read = reading.get(key) ?? readSkill(id, dir, listing, { engines, schemas });
    reading.set(key, read);
    const fresh = await read.finally(() => reading.delete(key));
    const latest = known.get(id);
    const skill = latest && sameSkill(latest.skill, fresh) ? latest.skill : fresh;
    if (latest === undefined || latest.look < mine)
      known.set(id, { fingerprint: print, skill, look: mine, lookedAt: performance.now() });
    return skill;
  }

  async function sweep(): Promise<void> {
    const ids = await skillFolders(root);
    for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    const lookOrRecall = (id: string) => look(id).catch(() => known.get(id)?.skill ?? null);
    const found = await Promise.all([...ids].sort().map(lookOrRecall));
    const skills = found.filter((skill) => skill !== null);
    const unchanged = skills.length === listed.length && skills.every((skill, at) => skill === listed[at]);
    if (!unchanged) listed = skills;
  }

  async function list(): Promise<readonly Skill[]> {
    if (sweeping === null && performance.now() - sweptAt >= sweepIntervalMs) {
      sweptAt = performance.now();
      sweeping = sweep().finally(() => {
        sweeping = null;
      });
    }
    await sweeping;
    return listed;
  }

  return {
    list,
    async summaries() {
      const skills = await list();
      if (described.skills !== skills)
        described = { skills, summaries: Object.freeze(skills.map(describeSkill)) };
      return described.summaries;
    },
    async get(id, { maxAgeMs = 0 } = {}) {
      const recent = known.get(id);
      if (recent && performance.now() - recent.lookedAt < maxAgeMs) return recent.skill;
      const skill = isSafeSkillId(id) ? await look(id) : null;
      if (skill) return skill;
      throw new RunnerError(
        "SKILL_NOT_FOUND",
        `There is no skill "${id}". GET /v1/skills lists what there is.`,
      );
    },
  };
}

/** Names of the folders below the root; dot folders are the service's own. */
async function skillFolders(root: string): Promise<Set<string>> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const ids = new Set<string>();
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const linked = entry.isSymbolicLink() && (await isFolder(join(root, entry.name)));
    if (entry.isDirectory() || linked) ids.add(entry.name);
  }
  return ids;
}

function isShortage(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^(EMFILE|ENFILE|ENOMEM|EIO)$/.test(String(error.code));
}

const isFolder = (path: string) =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );

function sameSkill(a: Skill, b: Skill): boolean {
  return a.hash !== "" && a.hash === b.hash && JSON.stringify(a.errors) === JSON.stringify(b.errors);
}

import { z } from "zod";

/** An install as the API shows it. */
export const skillInstall = z.object({
  request_id: z.string(),
  status: z.enum(["queued", "running", "succeeded", "failed"]),
  created_at: z.string(),
  updated_at: z.string(),
  skill_id: z.string().nullable().describe("Null until the package was unpacked."),
  version: z.string().nullable().describe("Null until the package was checked."),
  action: z
    .enum(["install", "update"])
    .nullable()
    .describe("Update: a working skill was, or was to be, replaced. Null until that is known."),
  error: z
    .object({
      code: z.string(),
      message: z.string(),
      issues: z
        .array(z.object({ pointer: z.string(), message: z.string(), code: z.string().optional() }))
        .optional(),
    })
    .nullable(),
});
export type SkillInstall = z.infer<typeof skillInstall>;

/** The same as it is stored. */
export const installRecord = skillInstall.extend({
  /**
   * There from the moment the package is checked and durable until it is known to be in place or not to come: what a
   * crash in between leaves is brought to an end from it.
   */
  journal: z
    .object({
      /** Where the folder that was there before is moved to, relative to the skills folder. Null: there was none. */
      set_aside: z.string().nullable(),
    })
    .nullable(),
});
export type InstallRecord = z.infer<typeof installRecord>;

export function newRecord(id: string): InstallRecord {
  const now = new Date().toISOString();
  return {
    request_id: id,
    status: "queued",
    created_at: now,
    updated_at: now,
    skill_id: null,
    version: null,
    action: null,
    error: null,
    journal: null,
  };
}

/** A copy of what the API shows. */
export function shown(record: InstallRecord): SkillInstall {
  const { journal: _, ...told } = record;
  return structuredClone(told);
}

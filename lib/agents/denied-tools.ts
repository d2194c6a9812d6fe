import { z } from "zod";
import type { Settings } from "./json-settings.ts";

const permissions = z.object({ permissions: z.object({ deny: z.array(z.string()) }) });

/** The tools a skill's own settings deny (`permissions.deny`, as claude and qwen have it), and more to deny. */
export function deniedTools(skill: Settings, more: readonly string[]): string[] {
  return [...(permissions.safeParse(skill).data?.permissions.deny ?? []), ...more];
}

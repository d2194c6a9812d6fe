import type { Config } from "../config.ts";
import { createDoors, type Doors } from "./doors.ts";
import { createRateLimit } from "./rate-limit.ts";

/** The doors as the settings want them. */
export async function openDoors({
  doors: { ratePerMinute, ...options },
}: Pick<Config, "doors">): Promise<Doors> {
  const isLimited = options.keys.length > 0 && ratePerMinute > 0;
  return createDoors({ ...options, rateLimit: isLimited ? await createRateLimit(ratePerMinute) : null });
}

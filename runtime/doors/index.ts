import type { Config } from "../config.ts";
import { nameInUrl } from "./addresses.ts";
import { createDoors, type Doors } from "./doors.ts";
import { createRateLimit } from "./rate-limit.ts";

/** The doors as the settings want them. */
export async function openDoors({ host, doors }: Pick<Config, "host" | "doors">): Promise<Doors> {
  const { ratePerMinute, ...options } = doors;
  const isLimited = options.keys.length > 0 && ratePerMinute > 0;
  return createDoors({
    ...options,
    ownName: nameInUrl(host),
    rateLimit: isLimited ? await createRateLimit(ratePerMinute) : null,
  });
}

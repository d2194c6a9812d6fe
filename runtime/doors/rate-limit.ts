import { RunnerError } from "../../lib/errors.ts";

export interface RateLimit {
  /** Counts one request of this key. @throws RunnerError RATE_LIMITED when it is one too many */
  take(name: string): Promise<void>;
}

const windowSeconds = 60;

/** At most `perMinute` requests of a key in each minute, counted from its first. */
export async function createRateLimit(perMinute: number): Promise<RateLimit> {
  // Loaded by those who have keys alone.
  const { RateLimiterMemory, RateLimiterRes } = await import("rate-limiter-flexible");
  const limiter = new RateLimiterMemory({ points: perMinute, duration: windowSeconds });
  return {
    async take(name) {
      try {
        await limiter.consume(name);
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal;
        throw new RunnerError(
          "RATE_LIMITED",
          `This key may send ${perMinute} requests in a minute (SKILL_RUNNER_RATE_LIMIT_PER_MINUTE).`,
          { retryAfterSeconds: refusal.msBeforeNext / 1000 },
        );
      }
    },
  };
}

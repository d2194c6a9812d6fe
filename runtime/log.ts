import { type DestinationStream, type Logger, pino } from "pino";
import { describeError } from "./describe-error.ts";

/**
 * The server's log: JSON lines. Everything under `err` goes through `describeError`.
 * @param to stdout, unless a test wants to read it
 */
export function createLog(
  level: string,
  to: DestinationStream = pino.destination({ dest: 1, sync: true }),
): Logger {
  const serializers = { err: describeError };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers }, to);
}

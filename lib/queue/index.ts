export {
  anewSuffix,
  isFenceHeld,
  type JobQueue,
  type Place,
  type QueuedJob,
  type TakenJob,
} from "./contract.ts";
export type { LiveLog } from "./live-log.ts";
export { type OpenQueue, openQueue } from "./open.ts";
export { parseQueueUrl } from "./queue-url.ts";
export type { RunChannel, RunNews } from "./run-channel.ts";

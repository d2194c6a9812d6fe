export { loginMethodName, pendingAuth } from "./auth-challenge.ts";
export { chatBubble } from "./chat.ts";
export type { Log, RunContext, RunSettings } from "./context.ts";
export { createEventFeeds } from "./event-feed.ts";
export { type RunEvent, runEvent } from "./event-log.ts";
export { createIdempotency } from "./idempotency.ts";
export { pendingInteraction } from "./interaction.ts";
export { createKeyedLock } from "./keyed-lock.ts";
export { runtimeOptions } from "./options.ts";
export { resources, runError, runWarning, usage } from "./record.ts";
export { createResultCache } from "./result-cache.ts";
export { runResult } from "./run-result.ts";
export { createRunSecrets } from "./run-secrets.ts";
export { createRunStore } from "./run-store.ts";
export { createRuns, type Runs } from "./runs.ts";

export { isTerminal, runStatus } from "./transitions.ts";
export type { UploadedArchives, UploadLimits } from "./upload.ts";
export { createUsageSampler } from "./usage-sampler.ts";

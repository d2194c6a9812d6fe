/** Why a run that had not ended by itself was ended. Handed to `AbortController.abort`. */
export class RunStopped extends Error {
  override readonly name = "RunStopped";
  readonly kind: "cancel" | "timeout" | "shutdown" | "auth" | "stalled" | "lost";

  constructor(kind: RunStopped["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Whether it was aborted as another server has the run. */
export function isLost(signal: AbortSignal): boolean {
  return isStoppedBy(signal, "lost");
}

export function isStoppedBy({ reason }: AbortSignal, kind: RunStopped["kind"]): boolean {
  return reason instanceof RunStopped && reason.kind === kind;
}

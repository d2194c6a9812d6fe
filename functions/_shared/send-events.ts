/** What an event stream is made from; lines come in the order they were told. */
export interface EventSource {
  /** The next frames; null: none within `idleMs`; "end": there will be none. */
  next(idleMs: number): Promise<Uint8Array | null | "end">;
  close(): void;
}

export interface EventStreamOptions {
  /** Milliseconds of silence after which a heartbeat is sent. */
  heartbeatMs?: number;
  /** Milliseconds after which a client is cut off that takes nothing although there is something for it. */
  stallMs?: number;
}

export const eventStreamHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  // A proxy (nginx) that gathers the answer would hold events back.
  "x-accel-buffering": "no",
};

/** Milliseconds a client should wait before it connects again. */
const retryMs = 2_000;

const encoder = new TextEncoder();

/** One event of a stream, as the HTML standard spells it (9.2.5); `data` holds no line break. */
export function frame(event: string, data: string, id?: number): Uint8Array {
  return encoder.encode(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`);
}

/**
 * A stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). It is pulled: while
 * the client takes nothing, nothing is made for it, so a slow one costs one piece of memory and slows nobody.
 * @param first sent at once, before what the source gives
 */
export function sendEvents(
  first: readonly Uint8Array[],
  source: EventSource,
  { heartbeatMs = 15_000, stallMs = 60_000 }: EventStreamOptions = {},
): Response {
  /** Something is there for the client that it has not taken yet. */
  let offered = true;
  let stall: NodeJS.Timeout | undefined;
  const cutOff = (controller: ReadableStreamDefaultController) => {
    source.close();
    controller.error(new Error("The client takes nothing."));
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(Buffer.concat([encoder.encode(`retry: ${retryMs}\n\n`), ...first]));
        stall = setTimeout(() => offered && cutOff(controller), stallMs).unref();
      },
      async pull(controller) {
        offered = false;
        const next = await source.next(heartbeatMs).catch((error: unknown) => {
          // A stream that fails is not cancelled: nobody else lets go of the source.
          clearTimeout(stall);
          source.close();
          throw error;
        });
        if (next === "end") {
          clearTimeout(stall);
          source.close();
          return controller.close();
        }
        controller.enqueue(next ?? frame("heartbeat", JSON.stringify({ ts: new Date().toISOString() })));
        offered = true;
        // Not made anew for each event: a busy stream has many.
        stall?.refresh();
      },
      cancel() {
        clearTimeout(stall);
        source.close();
      },
    },
    // Nothing is made before it is asked for.
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: eventStreamHeaders });
}

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { streamSnapshot } from "../functions/_shared/event-stream.ts";
import { chatBubble } from "../lib/runs/chat.ts";
import { runEvent } from "../lib/runs/event-log.ts";
import { eventData } from "../lib/runs/event-types.ts";

/** Writes docs/schemas/: JSON Schemas of what the event streams carry, made from what the server itself checks by. */
export const schemasFolder = join(import.meta.dirname, "..", "docs", "schemas");

/** A union over the types, so that `type` says what `data` holds. */
const typedEvents = Object.entries(eventData).map(([type, data]) =>
  runEvent.extend({ type: z.literal(type), data }),
);
const [first, ...others] = typedEvents;
if (first === undefined) throw new Error("there are no event types");

const documents: Record<string, { title: string; schema: z.ZodType }> = {
  "event.schema.json": {
    title: "One event of a job's log (FCMP/1.0)",
    schema: z.discriminatedUnion("type", [first, ...others]),
  },
  "chat-bubble.schema.json": { title: "One bubble of a job's chat (chat-replay/1.0)", schema: chatBubble },
  "snapshot.schema.json": { title: "What a stream begins with", schema: streamSnapshot },
  "heartbeat.schema.json": {
    title: "What a stream says in silence",
    schema: z.object({ ts: z.iso.datetime() }),
  },
};

/** File name -> content, as it should be. */
export function schemaFiles(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(documents).map(([name, { title, schema }]) => {
      const { $schema, ...rest } = z.toJSONSchema(schema, { target: "draft-2020-12", io: "output" });
      return [name, `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`];
    }),
  );
}

/** What of docs/schemas/ is not as it should be. */
export function staleSchemas(): string[] {
  return Object.entries(schemaFiles())
    .filter(([name, content]) => {
      try {
        return readFileSync(join(schemasFolder, name), "utf8") !== content;
      } catch {
        return true;
      }
    })
    .map(([name]) => name);
}

if (process.argv[1] === import.meta.filename) {
  mkdirSync(schemasFolder, { recursive: true });
  for (const [name, content] of Object.entries(schemaFiles()))
    writeFileSync(join(schemasFolder, name), content);
}

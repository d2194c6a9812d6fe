import type { Readable, Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { AnyMessage, Stream } from "@agentclientprotocol/sdk";
import { z } from "zod";
import { parseJson } from "../../json.ts";

/** Longest message that is read, in UTF-16 units: a CLI that never ends its line costs this much memory. */
const maxMessageLength = 16 * 1024 * 1024;

const message = z.custom<AnyMessage>(
  (value) => typeof value === "object" && value !== null && "jsonrpc" in value && value.jsonrpc === "2.0",
);

/**
 * The messages of a CLI that speaks newline-delimited JSON-RPC on stdio. Lines that are no message are left out: CLIs
 * print banners and warnings. The SDK's own stream would answer each of them with an error.
 */
export function messageStream(input: Writable, output: Readable): Stream {
  let open = true;
  return {
    readable: new ReadableStream<AnyMessage>({
      start(controller) {
        const lines = splitLines((line) => {
          const found = message.safeParse(parseJson(line));
          if (found.success && open) controller.enqueue(found.data);
        });
        output.on("data", lines.write);
        output.once("end", () => {
          lines.end();
          if (open) controller.close();
          open = false;
        });
      },
      cancel() {
        open = false;
      },
    }),
    writable: new WritableStream<AnyMessage>({
      write: (sent) =>
        new Promise((resolve, reject) => {
          input.write(`${JSON.stringify(sent)}\n`, (error) => (error ? reject(error) : resolve()));
        }),
    }),
  };
}

function splitLines(onLine: (line: string) => void) {
  const decoder = new StringDecoder("utf8");
  let pending = "";
  let dropping = false;
  const hold = (text: string) => {
    dropping ||= pending.length + text.length > maxMessageLength;
    pending = dropping ? "" : pending + text;
  };
  const take = (text: string) => {
    const [first = "", ...rest] = text.split("\n");
    hold(first);
    for (const next of rest) {
      if (!dropping) onLine(pending);
      pending = "";
      dropping = false;
      hold(next);
    }
  };
  return {
    write: (chunk: Buffer) => take(decoder.write(chunk)),
    end() {
      take(decoder.end());
      if (!dropping) onLine(pending);
    },
  };
}

import { type Agent, request as httpRequest } from "node:http";
import type { FuzzedRequest } from "./requests.ts";

export interface FuzzedAnswer {
  status: number;
  type: string;
  headers: Record<string, unknown>;
  /** The first bytes of a stream; else all. */
  text: string;
}

const patienceMs = 20_000;
const streamMs = 30;

/** Sends it as it is. Rejects when the server breaks off without an answer, or gives none in time. */
export function send(
  url: string,
  { method, path, headers, body }: FuzzedRequest,
  agent: Agent,
): Promise<FuzzedAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const length = body === null ? {} : { "content-length": body.length };
    const request = httpRequest({ hostname, port, method, path, headers: { ...headers, ...length }, agent });
    let answered = false;
    request.setTimeout(patienceMs, () => request.destroy(new Error("no answer in time")));
    request.on("error", (error) => answered || reject(error));
    request.on("response", (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      const done = () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers["content-type"] ?? "",
          headers: response.headers,
          text: Buffer.concat(chunks).toString("latin1"),
        });
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", done);
      response.on("error", reject);
      // A stream goes on for as long as its job.
      if (response.headers["content-type"]?.startsWith("text/event-stream"))
        setTimeout(() => {
          done();
          response.destroy();
        }, streamMs);
    });
    request.end(body ?? undefined);
  });
}

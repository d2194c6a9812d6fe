import { afterEach } from "vitest";
import { byPrompt, type ModelScript, type ModelServer, startModelServer } from "./server.ts";

/** What the tests of the wires share: a server per test, and one script that all wires play alike. */
export const script = byPrompt([
  { match: "other", steps: [{ kind: "text", text: "other" }] },
  { match: "key", steps: [{ kind: "error", status: 401, message: "Bad key" }] },
  { match: "broken", steps: [{ kind: "error", status: 500, message: "Server broke" }] },
  { match: "odd", steps: [{ kind: "error", status: 503, message: "", body: { detail: "odd" } }] },
  { match: "data", steps: [{ kind: "text", text: '{"title": "T"}' }] },
  {
    match: /^write/i,
    steps: [
      { kind: "tool", command: "echo hi > a.txt", text: "I am writing it now." },
      { kind: "text", text: "all is done", reasoning: "I thought about it." },
    ],
  },
]);

let server: ModelServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

export async function start(model: ModelScript = script): Promise<ModelServer> {
  server = await startModelServer(model);
  return server;
}

export function post(target: ModelServer, path: string, body: object): Promise<Response> {
  return fetch(target.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** The `data:` payloads of an event stream, `[DONE]` left as it is. */
export async function eventData(response: Response): Promise<unknown[]> {
  const lines = (await response.text()).split(/\r?\n/);
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice("data: ".length));
  return data.map((text): unknown => (text === "[DONE]" ? text : JSON.parse(text)));
}

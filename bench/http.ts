import { Agent, request } from "node:http";

// The server closes a connection that was silent for 5 s, at times in the moment in which it is used again: we do it before.
const agent = new Agent({ keepAlive: true, timeout: 2_000 });

export interface Reply {
  status: number;
  type: string;
  body: string;
}

/** One request on a kept-alive connection, read to its end. */
export function ask(url: string, json?: object): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const method = json === undefined ? "GET" : "POST";
    const outgoing = request(url, { agent, method }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        body += chunk;
      });
      incoming.once("error", reject);
      incoming.once("end", () =>
        resolve({ status: incoming.statusCode ?? 0, type: incoming.headers["content-type"] ?? "", body }),
      );
    });
    outgoing.once("error", reject);
    if (json !== undefined) outgoing.setHeader("content-type", "application/json");
    outgoing.end(json === undefined ? undefined : JSON.stringify(json));
  });
}

/** The body of a request that must succeed. */
export async function fetchJson<T>(url: string, json?: object): Promise<T> {
  const reply = await ask(url, json);
  if (reply.status !== 200) throw new Error(`${url}: ${reply.status} ${reply.body}`);
  return JSON.parse(reply.body);
}

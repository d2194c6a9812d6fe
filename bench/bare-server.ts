// Answers each path of a JSON file ({path: {type, body}}) with those very bytes: Hono with nothing around it.
import { readFileSync } from "node:fs";
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const answers: Record<string, { type: string; body: string }> = JSON.parse(
  readFileSync(process.argv[2] ?? "", "utf8"),
);
const app = new Hono();
for (const [path, { type, body }] of Object.entries(answers)) {
  app.get(path, () => new Response(body, { headers: { "content-type": type } }));
}
serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => console.log(port));

import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";

const types = { "swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript" } as const;

export default defineFunction({
  summary: "The script and style of the docs page",
  scope: "read",
  tags: ["system"],
  params: z.object({ file: z.enum(["swagger-ui.css", "swagger-ui-bundle.js"]) }),
  responses: { 200: { description: "The file", mediaType: "text/*" } },
  handler({ params }) {
    const folder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
    const body = Readable.toWeb(createReadStream(join(folder, params.file)));
    return new Response(body, {
      headers: { "content-type": types[params.file], "cache-control": "public, max-age=86400" },
    });
  },
});

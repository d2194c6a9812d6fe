import { createHash } from "node:crypto";
import { defineFunction } from "../runtime/function.ts";

const script = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });`;

// Every asset comes from this server: the page works with no internet.
const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Skill Runner API</title>
    <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
    <link rel="icon" href="data:,">
  </head>
  <body>
    <div id="docs"></div>
    <script src="/docs/assets/swagger-ui-bundle.js"></script>
    <script>${script}</script>
  </body>
</html>
`;

/** Content Security Policy Level 3: this script and this server's files, nothing else. Swagger UI sets styles and draws icons inline. */
const policy = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${createHash("sha256").update(script).digest("base64")}'`,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export default defineFunction({
  summary: "The API as a page to read and try",
  scope: "read",
  tags: ["system"],
  responses: { 200: { description: "The page", mediaType: "text/html" } },
  handler: () =>
    new Response(page, {
      headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy },
    }),
});

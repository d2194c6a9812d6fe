import { defineFunction } from "../runtime/function.ts";

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
    <script>SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });</script>
  </body>
</html>
`;

export default defineFunction({
  summary: "The API as a page to read and try",
  tags: ["system"],
  responses: { 200: { description: "The page", mediaType: "text/html" } },
  handler: () => new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } }),
});

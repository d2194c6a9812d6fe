import { defineFunction } from "../runtime/function.ts";

export default defineFunction({
  summary: "This API as an OpenAPI 3.1 document",
  scope: "read",
  tags: ["system"],
  responses: { 200: { description: "The document", mediaType: "application/json" } },
  handler: ({ services }) => services.openApiDocument(),
});

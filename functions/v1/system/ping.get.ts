import { defineFunction } from "../../../runtime/function.ts";

export default defineFunction({
  summary: "Answers with nothing, fast",
  scope: "read",
  tags: ["system"],
  status: 204,
  responses: { 204: { description: "The server is there" } },
  handler: () => undefined,
});

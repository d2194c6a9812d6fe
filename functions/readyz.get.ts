import { z } from "zod";
import { defineFunction } from "../runtime/function.ts";

const readiness = z.object({ ready: z.boolean(), reason: z.string().nullable() });

export default defineFunction({
  summary: "Whether the server takes work",
  scope: "open",
  tags: ["system"],
  responses: {
    200: { description: "Takes work", schema: readiness },
    503: { description: "Starting up or shutting down", schema: readiness },
  },
  handler({ services }) {
    const state = services.ready();
    return Response.json(state, { status: state.ready ? 200 : 503 });
  },
});

import { RunnerError } from "../lib/errors.ts";

/** Deepest nesting a body may have: schema validators and JSON walkers recurse. */
const maxDepth = 100;

/**
 * Reads a JSON body, counting bytes as they come: a Content-Length may lie or be absent.
 * @param optional an empty body counts as `{}`
 * @throws RunnerError MEDIA_TYPE_UNSUPPORTED, BODY_TOO_LARGE, JSON_INVALID
 */
export async function readJsonBody(request: Request, maxBytes: number, optional: boolean): Promise<unknown> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  const isJson = type === "application/json" || type.endsWith("+json");
  // Another type is refused before its body is read.
  if (!isJson && !(optional && type === "")) {
    throw new RunnerError(
      "MEDIA_TYPE_UNSUPPORTED",
      "Send the body as JSON, with the header Content-Type: application/json.",
    );
  }
  const text = await readText(request, maxBytes);
  if (text.trim() === "") {
    if (optional) return {};
    throw new RunnerError("JSON_INVALID", "The body is empty; send a JSON object.");
  }
  const value = parse(text);
  if (depthExceeds(value, maxDepth)) {
    throw new RunnerError("JSON_INVALID", `The body is nested deeper than ${maxDepth} levels.`);
  }
  return value;
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = new RunnerError(
    "BODY_TOO_LARGE",
    `The body is larger than ${maxBytes} bytes. Send files through the upload endpoint.`,
  );
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge;
  if (request.body === null) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge;
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new RunnerError("JSON_INVALID", "The body is not UTF-8 text.");
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : "it could not be parsed";
    throw new RunnerError("JSON_INVALID", `The body is not valid JSON: ${reason.slice(0, 200)}`);
  }
}

function depthExceeds(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => depthExceeds(inner, left - 1));
}

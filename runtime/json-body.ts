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
  const flaw = findFlaw(value, maxDepth);
  if (flaw !== null) throw new RunnerError("JSON_INVALID", `The body ${flaw}.`);
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
  try {
    for await (const chunk of request.body) {
      size += chunk.byteLength;
      if (size > maxBytes) throw tooLarge;
      chunks.push(chunk);
    }
  } catch (error) {
    if (error === tooLarge) throw error;
    throw new RunnerError("JSON_INVALID", "The body ended before all of it came. Send it again.", {
      cause: error,
    });
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

/** What no schema would tell: nesting that overflows those who recurse, and a key that validators skip in silence. */
function findFlaw(value: unknown, left: number): string | null {
  if (typeof value !== "object" || value === null) return null;
  if (left === 0) return `is nested deeper than ${maxDepth} levels`;
  if (Object.hasOwn(value, "__proto__")) return 'has a member called "__proto__", which is not allowed';
  for (const inner of Object.values(value)) {
    const flaw = findFlaw(inner, left - 1);
    if (flaw !== null) return flaw;
  }
  return null;
}

import { isJsonObject, parseJson } from "../json.ts";

/** The fields of a login by OAuth that its renewal changes, and the one that says when it ends (a number). */
export interface TokenFields {
  tokens: readonly string[];
  expires: string;
}

/**
 * A login with what a run's copy has renewed of it: tokens alone, never where they are sent or what else a file may say. The
 * one that ends later counts, as another run may have renewed it, too. Null when there is nothing new.
 */
export function withRenewedTokens(
  shared: unknown,
  own: unknown,
  { tokens, expires }: TokenFields,
): object | null {
  if (!isJsonObject(shared) || !isJsonObject(own)) return null;
  const { [expires]: before } = shared;
  const { [expires]: after } = own;
  if (typeof after !== "number" || (typeof before === "number" && after < before)) return null;
  const renewed = tokens.filter((name) => typeof shared[name] === "string" && typeof own[name] === "string");
  if (renewed.every((name) => shared[name] === own[name])) return null;
  return { ...shared, ...Object.fromEntries(renewed.map((name) => [name, own[name]])), [expires]: after };
}

/** The JSON object in a text, or null. */
export function readObject(text: string): Record<string, unknown> | null {
  const value = parseJson(text);
  return isJsonObject(value) ? value : null;
}

import { isAbsolute } from "node:path";
import { checkCredentials } from "../credentials-in-url.ts";
import { readRedisUrl } from "../redis-url.ts";

/** Where records lie, as a URL said it. */
export type StoragePlace =
  | { kind: "fs"; folder: string | null }
  | { kind: "memory" }
  | { kind: "sqlite"; path: string | null }
  | { kind: "postgres"; url: string }
  | { kind: "redis"; url: string; prefix: string }
  | { kind: "s3"; bucket: string; prefix: string; endpoint: string | undefined; region: string | undefined };

/** The forms that are understood, for messages. */
const storageForms =
  '"fs:" or "fs:/absolute/folder", "sqlite:" or "sqlite:/absolute/file", "redis://host:6379/0?prefix=name", ' +
  '"postgres://user:password@host/database", "s3://bucket/prefix?endpoint=https://host&region=name", "memory:"';

/**
 * Reads a storage URL. Credentials of S3 come from where Amazon's tools look for them (AWS_ACCESS_KEY_ID ...).
 * @throws Error whose message never holds the URL: it may hold a password
 */
export function parseStorageUrl(text: string): StoragePlace {
  const [scheme = "", rest = ""] = cut(text);
  switch (scheme) {
    case "fs":
      return { kind: "fs", folder: pathOrNull(scheme, rest) };
    case "sqlite":
      return { kind: "sqlite", path: pathOrNull(scheme, rest) };
    case "memory":
      return { kind: "memory" };
    case "postgres":
    case "postgresql":
      checkCredentials(parsed(scheme, text));
      return { kind: "postgres", url: text };
    case "redis":
    case "rediss":
      parsed(scheme, text);
      return { kind: "redis", ...readRedisUrl(text) };
    case "s3":
      return s3Place(text);
    default:
      throw new Error(`no storage is called ${JSON.stringify(scheme.slice(0, 20))}; use ${storageForms}`);
  }
}

function cut(text: string): [string, string] {
  const at = text.indexOf(":");
  return at < 0 ? ["", ""] : [text.slice(0, at), text.slice(at + 1)];
}

function pathOrNull(scheme: string, path: string): string | null {
  if (path === "") return null;
  if (!isAbsolute(path) || path.startsWith("//"))
    throw new Error(
      `${scheme}: wants an absolute path behind it, such as ${scheme}:/srv/records, or nothing`,
    );
  return path;
}

const name = /^[\w.-]{1,100}$/;

function parsed(scheme: string, text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new Error(
    `a ${scheme} URL that cannot be read; a user and a password in it are percent-encoded (%2F for /, %40 for @). Use ${storageForms}`,
  );
}

const s3Parameters = new Set(["endpoint", "region"]);

function s3Place(text: string): StoragePlace {
  const { host, pathname, searchParams, username, password } = parsed("s3", text);
  if (username !== "" || password !== "")
    throw new Error("an s3 URL holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  for (const key of searchParams.keys())
    if (!s3Parameters.has(key)) throw new Error(`an s3 URL has no ${key}; it takes endpoint and region`);
  if (!name.test(host)) throw new Error("an s3 URL begins with its bucket: s3://bucket");
  const endpoint = searchParams.get("endpoint") ?? undefined;
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint))
    throw new Error("the endpoint of an s3 URL begins with http:// or https://");
  const folders = pathname.split("/").filter((part) => part !== "");
  if (!folders.every((part) => name.test(part)))
    throw new Error("the folders of an s3 URL are made of letters, digits, _, . and -");
  const prefix = folders.length === 0 ? "" : `${folders.join("/")}/`;
  return { kind: "s3", bucket: host, prefix, endpoint, region: searchParams.get("region") ?? undefined };
}

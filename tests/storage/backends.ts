import { postgresServer, redisServer, type StorageServer, s3Server } from "./servers.ts";

/** The storage servers that records are tried on. */
export const backends: [string, () => Promise<StorageServer>][] = [
  ["redis", redisServer],
  ["postgres", postgresServer],
  ["s3", s3Server],
];

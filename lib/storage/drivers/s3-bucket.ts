import { randomUUID } from "node:crypto";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { attemptsOf, statusOf, whatToCheck } from "./s3-refusals.ts";

export interface S3Options {
  bucket: string;
  /** What every object's name begins with, with its "/" at the end; or "". */
  prefix: string;
  /** Of a server that is not Amazon's. Its buckets are then part of the path. */
  endpoint: string | undefined;
  region: string | undefined;
}

/** An object as it was read. */
export interface S3Object {
  bytes: Uint8Array;
  etag: string;
  /** It holds the rest of a change, not a record alone. */
  isChange: boolean;
}

/** When an object is to be written: only over the one with this ETag, or only where there is none (null). */
export type Over = { etag: string | null };

/** One bucket of any S3 API, so far as records need it. */
export interface S3Bucket {
  /** @throws Error when the bucket is not there, or its server knows no conditional writes */
  open(): Promise<void>;
  /** Whether `remove` spares what has another ETag. Known once it is open. */
  readonly removesConditionally: boolean;
  get(name: string): Promise<S3Object | null>;
  /** @returns false when `over` did not hold */
  put(
    name: string,
    body: string | Uint8Array,
    options?: { over?: Over; isChange?: boolean },
  ): Promise<boolean>;
  remove(name: string, etag?: string): Promise<void>;
  /** Names one level below a base, in no order, or all names below it. */
  list(base: string, levels: "one" | "all"): Promise<string[]>;
  close(): void;
}

const maxAttempts = 5;
const connectTimeoutMs = 5_000;
/** Without a byte from the server. */
const requestTimeoutMs = 15_000;
const changeMark = "skill-runner-change";

/**
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
export function createS3Bucket({ bucket, prefix, endpoint, region }: S3Options): S3Bucket {
  const client = new S3Client({
    // Where there are no regions any name will do, but the signature wants one.
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { region: region ?? "us-east-1", endpoint, forcePathStyle: true }),
    maxAttempts,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
    // Checksums that Amazon's own S3 knows and others refuse.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  /** What servers differ in; tried when the bucket is opened. */
  const server = { quotesTags: true, removesConditionally: false };
  const tagOf = (etag: string) => (server.quotesTags ? etag : etag.replaceAll('"', ""));
  const at = (name: string) => ({ Bucket: bucket, Key: prefix + name });
  const get = async (name: string): Promise<S3Object | null> => {
    try {
      const { Body, ETag, Metadata } = await client.send(new GetObjectCommand(at(name)));
      if (Body === undefined || ETag === undefined) throw new Error("S3 gave an object without body or ETag");
      const bytes = await Body.transformToByteArray();
      return { bytes, etag: ETag, isChange: Metadata?.[changeMark] !== undefined };
    } catch (error) {
      if (error instanceof S3ServiceException && error.name === "NoSuchKey") return null;
      throw error;
    }
  };
  const bucketApi: S3Bucket = {
    async open() {
      try {
        await client.send(new HeadBucketCommand({ Bucket: bucket }));
        Object.assign(server, await tryOut(bucketApi, server));
      } catch (error) {
        throw whatToCheck(error, bucket);
      }
    },
    get removesConditionally() {
      return server.removesConditionally;
    },
    get,
    async put(name, body, { over, isChange = false } = {}) {
      const condition =
        over === undefined ? {} : over.etag === null ? { IfNoneMatch: "*" } : { IfMatch: tagOf(over.etag) };
      const bytes = typeof body === "string" ? Buffer.from(body) : body;
      const command = new PutObjectCommand({
        ...at(name),
        ...condition,
        Body: bytes,
        ContentLength: bytes.byteLength,
        ...(isChange ? { Metadata: { [changeMark]: "1" } } : {}),
      });
      for (let attempt = 1; ; attempt++) {
        try {
          await client.send(command);
          return true;
        } catch (error) {
          if (over === undefined) throw error;
          // Another conditional write of it was under way.
          if (statusOf(error) === 409 && attempt < maxAttempts) continue;
          // 404: there is none to be over.
          if (statusOf(error) !== 412 && statusOf(error) !== 404) throw error;
          // It was sent again because an answer was lost: what stands there may be ours.
          if (attemptsOf(error) < 2) return false;
          const there = await get(name);
          return there !== null && Buffer.from(there.bytes).equals(Buffer.from(bytes));
        }
      }
    },
    async remove(name, etag) {
      try {
        await client.send(
          new DeleteObjectCommand({ ...at(name), ...(etag === undefined ? {} : { IfMatch: tagOf(etag) }) }),
        );
      } catch (error) {
        if (![404, 412].includes(statusOf(error) ?? 0)) throw error;
      }
    },
    async list(base, levels) {
      const names: string[] = [];
      let token: string | undefined;
      do {
        const page = await client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix + base,
            ContinuationToken: token,
            ...(levels === "one" ? { Delimiter: "/" } : {}),
          }),
        );
        // An object whose name ends so stands for a folder; consoles and other tools make them. None is a record.
        const keys = (page.Contents ?? []).map(({ Key = "" }) => Key).filter((key) => !key.endsWith("/"));
        const folders = (page.CommonPrefixes ?? []).map(({ Prefix }) => (Prefix ?? "").slice(0, -1));
        names.push(...[...keys, ...folders].map((key) => key.slice(prefix.length)));
        token = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
      return names;
    },
    close: () => client.destroy(),
  };
  return bucketApi;
}

/**
 * Tries on an object of its own what the records' safety rests on. A server that does not know a condition ignores it.
 * Ceph 16 knows If-Match, but without the quotes that belong to a tag, and not on DELETE.
 * @param server what is tried first; changed while it is tried
 */
async function tryOut(bucket: S3Bucket, server: { quotesTags: boolean; removesConditionally: boolean }) {
  const name = `probe-${randomUUID()}`;
  const refuses = async (over: Over) => !(await bucket.put(name, "another", { over }));
  try {
    await bucket.put(name, "first", { over: { etag: null } });
    const etag = (await bucket.get(name))?.etag ?? "";
    if (!(await refuses({ etag: null })) || !(await refuses({ etag: '"0123456789abcdef0123456789abcdef"' })))
      throw new Error(
        "its server does not know conditional writes (If-None-Match and If-Match on PUT), and could lose records",
      );
    let quotesTags = true;
    if (!(await bucket.put(name, "second", { over: { etag } }))) {
      quotesTags = server.quotesTags = false;
      if (!(await bucket.put(name, "second", { over: { etag } })))
        throw new Error("its server refuses a conditional write (If-Match) that should be made");
    }
    await bucket.remove(name, '"0123456789abcdef0123456789abcdef"');
    return { quotesTags, removesConditionally: (await bucket.get(name)) !== null };
  } finally {
    await bucket.remove(name).catch(() => undefined);
  }
}

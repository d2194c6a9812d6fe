import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { copyRecords } from "../../lib/storage/copy-records.ts";
import { createRecordStore, memoryDriver, openStorage, parseStorageUrl } from "../../lib/storage/index.ts";
import { type StorageServer, s3Server } from "./servers.ts";

let server: StorageServer;
beforeAll(async () => {
  server = await s3Server();
}, 120_000);
afterAll(() => server.remove());

const open = (url = server.url) => openStorage(parseStorageUrl(url), "/nowhere");

test("an object that stands for a folder, as consoles make them, is no record", async () => {
  const endpoint = new URL(server.url).searchParams.get("endpoint") ?? "";
  const client = new S3Client({ region: "us-east-1", endpoint, forcePathStyle: true });
  const folders = ["", "active/", "runs/", "runs/2026-11-24/"];
  for (const name of folders) {
    const Key = `some/folder/${name}`;
    await client.send(new PutObjectCommand({ Bucket: "records", Key, Body: "", ContentLength: 0 }));
  }
  client.destroy();
  const { records } = await open();
  await records.write("active:a", { n: 1 });
  expect(await records.children("")).toEqual(["active", "runs"]);
  expect(await records.children("active")).toEqual(["a"]);
  expect(await records.children("runs:2026-11-24")).toEqual([]);
  const copied: string[] = [];
  await copyRecords(records, createRecordStore(memoryDriver()), {
    names: ["active", "runs"],
    holdsBytes: () => false,
    skips: async () => false,
    onCopied: () => void copied.push("record"),
    onUnreadable: (key) => void copied.push(key),
  });
  expect(copied).toEqual(["record"]);
  await records.clear("active");
  expect(await records.read("active:a")).toBeNull();
  await records.close();
});

test("a bucket that is not there, and a key that is wrong, are told apart, with what to check", async () => {
  await expect(open(server.url.replace("//records/", "//nothing/"))).rejects.toThrow(
    /\(s3\) cannot be used: S3 answers 404 for the bucket "nothing": there is no such bucket/,
  );
  const secret = process.env.AWS_SECRET_ACCESS_KEY;
  process.env.AWS_SECRET_ACCESS_KEY = "wrong";
  try {
    await expect(open()).rejects.toThrow(
      /S3 answers 403 for the bucket "records": the key is wrong.* Check AWS_ACCESS_KEY_ID/,
    );
  } finally {
    process.env.AWS_SECRET_ACCESS_KEY = secret;
  }
});

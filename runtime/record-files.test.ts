import { expect, test } from "vitest";
import { parseStorageUrl } from "../lib/storage/index.ts";
import { recordFilesOf } from "./record-files.ts";

test.each([
  ["fs:/srv/records", []],
  ["sqlite:", []],
  ["sqlite:/srv/jobs.db", ["/srv/jobs.db", "/srv/jobs.db-wal", "/srv/jobs.db-shm"]],
  ["postgres://me:secret@db.example/jobs", []],
  ["postgres://me@db.example/jobs?sslkey=%2Fsrv%2Fkeys%2Fme.key&sslcert=/srv/me.crt", ["/srv/keys/me.key"]],
])("of %s, %j is to be hidden", (url, files) => {
  expect(recordFilesOf(parseStorageUrl(url))).toEqual(files);
});

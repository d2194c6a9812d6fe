export { replaceFile, syncFiles } from "./atomic-fs-driver.ts";
export { createRecordStore, openRecordStore, type RecordStore } from "./record-store.ts";

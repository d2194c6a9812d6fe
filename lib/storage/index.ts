export { replaceFile, syncFiles, syncFolder } from "./atomic-fs-driver.ts";
export { createRecordStore, openRecordStore, type RecordStore } from "./record-store.ts";

export { replaceFile, syncFiles } from "./atomic-fs-driver.ts";
export { mediumFailure } from "./medium-failure.ts";
export { createRecordStore, openRecordStore, type RecordStore } from "./record-store.ts";

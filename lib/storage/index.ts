export { clearRecords, copyMark, copyRecords } from "./copy-records.ts";
export { fsDriver } from "./drivers/fs.ts";
export { memoryDriver, onOneProcess } from "./drivers/memory.ts";
export { mediumFailure } from "./medium-failure.ts";
export { type OpenStorage, openStorage } from "./open-storage.ts";
export { createRecordStore, type RecordStore } from "./record-store.ts";
export { replaceFile, syncFiles } from "./replace-file.ts";
export { scopedRecords } from "./scoped-records.ts";
export { parseStorageUrl, type StoragePlace } from "./storage-url.ts";

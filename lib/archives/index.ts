export { type BundleFile, streamZip } from "./bundle.ts";
export { type ExtractOptions, extractZip } from "./extract.ts";
export { packFolder, unpackFolder } from "./folder.ts";
export type { ExtractLimits } from "./limits.ts";
export { type MultipartForm, type MultipartOptions, receiveMultipart } from "./multipart.ts";
export type { ReceivedFile } from "./part-store.ts";

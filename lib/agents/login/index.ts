export { type DeviceLogin, type DeviceLoginOptions, startDeviceLogin } from "./device-login.ts";
export { dropImportLeftovers } from "./drop-leftovers.ts";
export { credentialsFingerprint } from "./fingerprint.ts";
export { importCredentials, type UploadedCredential } from "./import-credentials.ts";
export { keyVariable } from "./key-variable.ts";
export { type LoginMethod, loginMethods } from "./methods.ts";

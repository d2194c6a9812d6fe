import { type BundleFile, streamZip } from "../../lib/archives/index.ts";

/** Files as one zip to download, made while it is sent. */
export function sendZip(files: BundleFile[], name: string): Response {
  return new Response(streamZip(files), {
    headers: { "content-type": "application/zip", "content-disposition": `attachment; filename="${name}"` },
  });
}

import { createServer } from "node:http";
import { text } from "node:stream/consumers";

/** Plays the vendor that codex logs in at by device code: `codex login --device-auth --experimental_issuer <url>`. */
export const userCode = "WXYZ-67890";

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
export const token = `${part({ alg: "none", typ: "JWT" })}.${part({
  email: "somebody@example.com",
  exp: Math.floor(Date.now() / 1000) + 3600,
  "https://api.openai.com/auth": {
    chatgpt_account_id: "account",
    chatgpt_user_id: "user",
    chatgpt_plan_type: "pro",
  },
})}.${Buffer.from("none").toString("base64url")}`;

export interface Issuer {
  url: string;
  /** Somebody has typed the code into the page. */
  confirm(): void;
  /** What was asked, in order. */
  asked: string[];
  close(): void;
}

export async function startIssuer(): Promise<Issuer> {
  let confirmed = false;
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const send = (status: number, body: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    void text(request).then(() => {
      const path = request.url ?? "";
      asked.push(path);
      if (path.endsWith("/deviceauth/usercode"))
        return send(200, { device_auth_id: "device", user_code: userCode, interval: "1" });
      if (path.endsWith("/deviceauth/token") && !confirmed) return send(403, {});
      if (path.endsWith("/deviceauth/token"))
        return send(200, {
          authorization_code: "code",
          code_challenge: "challenge",
          code_verifier: "verifier",
        });
      if (path.endsWith("/oauth/token"))
        return send(200, { id_token: token, access_token: token, refresh_token: "refresh" });
      return send(404, {});
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the issuer has no port");
  const confirm = () => {
    confirmed = true;
  };
  return { url: `http://127.0.0.1:${address.port}`, confirm, asked, close: () => void server.close() };
}

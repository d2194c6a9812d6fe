import type { Client } from "./client.ts";

/** What a caller does after a crash with what got no answer: sends the file once more, cancels once more. */
export async function finishWaiting(client: Client): Promise<void> {
  for (const [id, { cancel }] of client.ledger) {
    const { status, body } = await client.send("GET", `/v1/jobs/${id}`);
    if (status !== 200) continue;
    if (cancel === "asked") await client.cancel(id);
    else if (body.status === "created") {
      const answer = await client.upload(id);
      if (answer.status !== 200)
        throw new Error(`a second upload of ${id} answers ${answer.status}: ${answer.body.detail}`);
    }
  }
}

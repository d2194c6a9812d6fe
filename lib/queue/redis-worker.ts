import { Worker } from "bullmq";

/**
 * A worker that is asked for single jobs. BullMQ opens a second connection for each, to wait for jobs on; nobody waits here,
 * and a server has a worker for each queue.
 */
export class AskedWorker extends Worker {
  protected override createBackend(): void {
    this.backend = this.backendFactory(this.name, this.opts, { blocking: false });
  }
}

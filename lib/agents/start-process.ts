import { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Options } from "execa";

/**
 * Starts a process with execa, in a session of its own (setsid(2)): it is the leader of a process group by which it is ended
 * whole, and has no terminal. With the server's, code that it runs could type into the operator's shell (TIOCSTI,
 * ioctl_tty(2)), also from a jail. Gives it in an object: it is a promise itself, of its end.
 * @throws the system's error (EMFILE, ENFILE: errno(3)) when there is no descriptor left for its pipes; execa does not expect
 * the child without streams that Node gives then, and would leave its `error` event to end the server
 */
export async function startProcess<T extends Omit<Options, "detached">>(
  file: string,
  args: readonly string[],
  options: T,
) {
  // Loaded when first needed: it is a third of what a start would read.
  const { execa } = await import("execa");
  let spawned: ChildProcess | undefined;
  // https://nodejs.org/api/diagnostics_channel.html#child-process
  const see = (message: unknown) => {
    if (message instanceof Object && "process" in message && message.process instanceof ChildProcess)
      spawned = message.process;
  };
  subscribe("child_process", see);
  try {
    return { child: execa(file, args, { ...options, detached: true as const }) };
  } catch (error) {
    if (spawned === undefined || spawned.pid !== undefined) throw error;
    const [reason] = await once(spawned, "error");
    throw reason;
  } finally {
    unsubscribe("child_process", see);
  }
}

import type fc from "fast-check";
import { expectSame } from "./checks.ts";
import type { Model } from "./model.ts";
import type { World } from "./world.ts";

/** One thing that is done to the server. Behind each, the server is held against the model. */
export abstract class Step implements fc.AsyncCommand<Model, World> {
  /** Whether there is anything to do it to. */
  check(_model: Readonly<Model>): boolean {
    return true;
  }

  async run(model: Model, world: World): Promise<void> {
    await this.act(model, world);
    await expectSame(model, world);
  }

  /** Does it, checks the answer, and changes the model as the server is to change. */
  protected abstract act(model: Model, world: World): Promise<void>;

  abstract toString(): string;
}

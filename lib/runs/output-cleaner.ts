import type { Cleaner } from "./cleaner.ts";
import { createSequenceRemover } from "./control-sequences.ts";
import type { Redactor } from "./redactor.ts";

/** What an agent prints, without colours and then without secrets: one that is coloured in the middle is a secret. */
export function createOutputCleaner(cleaner: Cleaner): Redactor {
  const plain = createSequenceRemover();
  const redactor = cleaner.stream();
  return {
    push: (piece) => redactor.push(plain.push(piece)),
    end: () => Buffer.concat([redactor.push(plain.end()), redactor.end()]),
  };
}

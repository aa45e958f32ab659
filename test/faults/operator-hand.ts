// Moves the hand inside an operator (`operator-inside.ts`) from outside.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { waitFor } from '../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../support/operator-process.ts';

/** What the process waits for and has open: libuv's handles and requests, and timers apart. */
export type Held = { readonly handles: number; readonly timers: number };
const heldSchema = z.object({ handles: z.number(), timers: z.number() });

/** To preload. */
export const insideUrl = (dir: string): string => {
  const url = new URL('./operator-inside.ts', import.meta.url);
  url.searchParams.set('dir', dir);
  return url.href;
};

/** Its wall clock jumps to this far from the machine's. */
export const shiftClock = async (operator: OperatorProcess, dir: string, offsetMs: number): Promise<void> => {
  writeFileSync(join(dir, `${operator.pid}.clock`), `${offsetMs}`);
  await heldBy(operator, dir);
};

export const heldBy = async (operator: OperatorProcess, dir: string): Promise<Held> => {
  const file = join(dir, `${operator.pid}.held`);
  rmSync(file, { force: true });
  await operator.process.kill('SIGUSR2');
  return waitFor(`${operator.name} to say what it holds`, () =>
    heldSchema.parse(JSON.parse(readFileSync(file, 'utf8'))),
  );
};

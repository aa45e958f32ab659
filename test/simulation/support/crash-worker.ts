// A thread that plays the story of crashes for some of its awaits, and posts those whose end is another one.

import { parentPort, workerData } from 'node:worker_threads';
import { playCrash } from './crash-story.ts';
import type { Share } from './threads.ts';

type CrashShare = Share & { readonly awaits: readonly number[]; readonly expected: string };

const differing = async ({ first, step, end, awaits, expected }: CrashShare): Promise<readonly string[]> => {
  const found: string[] = [];
  for (let index = first; index < end; index += step) {
    const k = awaits[index];
    if (k === undefined) break;
    const crashed = JSON.stringify((await playCrash(k)).end);
    if (crashed !== expected) found.push(`await ${k}: ${crashed}`);
  }
  return found;
};

Error.stackTraceLimit = 0;
parentPort?.postMessage(await differing(workerData as CrashShare));

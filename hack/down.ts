/** `make down`: ends what `make up` started, and nothing else, and removes its data; the logs stay. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { endAll, readRunState, runDir } from './control-plane/run-state.ts';

const say = (line: string) => void process.stdout.write(`${line}\n`);

const state = readRunState();
if (state === undefined) {
  say('Nothing is up.');
} else {
  await endAll(state.processes, say);
  for (const name of ['data', 'kubeconfig', 'rollcall.kubeconfig', 'nats-url', 'pids.json']) {
    await rm(join(runDir, name), { recursive: true, force: true });
  }
  say('Down; the logs are in .run/logs.');
}

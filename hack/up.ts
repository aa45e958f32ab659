/**
 * `make up`: a control plane with three kwok nodes and a nats-server in the background, under `.run/`. Deploys nothing
 * into it. Says what runs where; `make down` ends it.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type ControlPlane, startControlPlane } from './control-plane/control-plane.ts';
import { startNats } from './control-plane/nats.ts';
import { createNodes } from './control-plane/nodes.ts';
import { type OwnedProcess, StartError } from './control-plane/owned-process.ts';
import {
  endAll,
  identify,
  isAlive,
  type RunningProcess,
  type RunState,
  readRunState,
  runDir,
  writeRunState,
} from './control-plane/run-state.ts';
import { toolsDir } from './control-plane/tools.ts';
import { waitFor } from './control-plane/wait.ts';

const nodes = 3;
const paths = {
  data: join(runDir, 'data'),
  logs: join(runDir, 'logs'),
  kubeconfig: join(runDir, 'kubeconfig'),
  operatorKubeconfig: join(runDir, 'rollcall.kubeconfig'),
  natsUrl: join(runDir, 'nats-url'),
};
const say = (line: string) => void process.stdout.write(`${line}\n`);

process.exitCode = await main();

async function main(): Promise<number> {
  const before = readRunState();
  if (before !== undefined) {
    const settled = await settleEarlierRun(before);
    if (settled !== undefined) return settled;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const started: RunningProcess[] = [];
  try {
    // Before the clock runs: the first build takes minutes, and says so itself.
    await toolsDir({ signal: interrupted.signal });
    const begin = performance.now();
    const state = await start(started, interrupted.signal);
    say(`Up in ${((performance.now() - begin) / 1_000).toFixed(1)} s.\n`);
    show(state);
    return 0;
  } catch (error) {
    await endAll(started.filter(isAlive), () => {});
    await rm(join(runDir, 'pids.json'), { force: true });
    if (interrupted.signal.aborted) say('up: interrupted; everything started is ended again');
    else if (error instanceof StartError) say(`up: ${error.message}\nup: everything started is ended again`);
    else throw error;
    return 1;
  }
}

/** An exit code if there is nothing left to do; undefined to go on and start. */
async function settleEarlierRun(state: RunState): Promise<number | undefined> {
  const living = state.processes.filter(isAlive);
  if (!state.complete && isAlive(state.startedBy)) {
    say(`up: another \`make up\` (pid ${state.startedBy.pid}) is at work`);
    return 1;
  }
  if (!state.complete) {
    if (living.length > 0) say('up: an earlier start was cut short; ending what it left');
    await endAll(living, say);
    return undefined;
  }
  if (living.length === 0) return undefined;
  if (living.length === state.processes.length) {
    say('Already up.\n');
    show(state);
    return 0;
  }
  const dead = state.processes.filter((running) => !isAlive(running)).map(({ name }) => name);
  say(
    `up: ${dead.join(', ')} ended since the last \`make up\` (see .run/logs); \`make down\`, then \`make up\` starts afresh`,
  );
  return 1;
}

async function start(started: RunningProcess[], signal: AbortSignal): Promise<RunState> {
  // Our own parts only: others keep things in .run too.
  for (const path of Object.values(paths)) await rm(path, { recursive: true, force: true });
  await Promise.all([paths.data, paths.logs].map((dir) => mkdir(dir, { recursive: true })));
  const startedBy = identify('up', process.pid);
  if (startedBy === undefined) throw new Error('cannot read the start time of this process');
  let state: RunState = { startedBy, complete: false, apiUrl: '', natsUrl: '', binaries: '', processes: started };
  writeRunState(state);
  const owned: OwnedProcess[] = [];
  const onStart = (fresh: OwnedProcess) => {
    const running = identify(fresh.name, fresh.pid);
    if (running === undefined) return;
    owned.push(fresh);
    started.push(running);
    writeRunState(state);
  };
  const detached = { logDir: paths.logs, detached: true, onStart, signal };
  const controlPlane = await startControlPlane({ dir: join(paths.data, 'control-plane'), ...detached });
  const nats = await startNats({ dir: join(paths.data, 'nats'), ...detached });
  await Promise.race([settleCluster(controlPlane, signal), firstDeath(owned)]);
  await controlPlane.writeKubeconfig({ user: 'admin', path: paths.kubeconfig });
  await controlPlane.writeKubeconfig({ user: 'rollcall', path: paths.operatorKubeconfig });
  await writeFile(paths.natsUrl, `${nats.url}\n`);
  state = { ...state, complete: true, apiUrl: controlPlane.url, natsUrl: nats.url, binaries: controlPlane.binaries };
  writeRunState(state);
  await controlPlane.close();
  return state;
}

/** Nodes Ready prove kwok, the service account proves the controller manager. */
async function settleCluster(controlPlane: ControlPlane, signal: AbortSignal): Promise<void> {
  const api = controlPlane.api();
  await createNodes(api, nodes, { signal });
  const account = '/api/v1/namespaces/default/serviceaccounts/default';
  await waitFor('the default service account', () => api.find(account), { deadlineMs: 30_000, signal });
}

/** Those without a readiness of their own may still end at once, as on a wrong flag. */
async function firstDeath(owned: readonly OwnedProcess[]): Promise<never> {
  const dead = await Promise.race(owned.map((one) => one.exited.then(() => one)));
  throw new StartError(
    'exited',
    dead.name,
    `${dead.name} ended; the last lines of ${dead.logFile}:\n${dead.logTail()}`,
  );
}

function show({ apiUrl, natsUrl, binaries, processes }: RunState): void {
  const urls: Readonly<Record<string, string>> = {
    'kube-apiserver': apiUrl,
    nats: natsUrl,
    kwok: `plays ${nodes} nodes`,
  };
  for (const { name, pid } of processes) {
    const log = relative(process.cwd(), join(paths.logs, `${name}.log`));
    say(`  ${name.padEnd(24)} pid ${String(pid).padEnd(8)} ${(urls[name] ?? '').padEnd(26)} ${log}`);
  }
  say('\nUse it:');
  say(`  export KUBECONFIG=${paths.kubeconfig}`);
  say(`  export NATS_URL=${natsUrl} ROLLCALL_NATS_URL=${natsUrl}`);
  say(`  export PATH=${binaries}:$PATH   # kubectl`);
  say(`The operator's own user, without rights until they are granted: ${paths.operatorKubeconfig}`);
  say('`make down` ends it and removes its data.');
}

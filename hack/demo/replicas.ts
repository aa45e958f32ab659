/**
 * Two replicas of the operator as processes, under the service account and the ClusterRole that we ship. Knows which of
 * them leads by asking their metrics, as Prometheus would.
 */
import { join } from 'node:path';
import { request } from 'undici';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { freePort } from '../control-plane/free-port.ts';
import { OwnedProcess, retryPortInUse, StartError } from '../control-plane/owned-process.ts';
import { waitFor } from '../control-plane/wait.ts';
import { bucket } from './registry-watch.ts';

type Role = 'starting' | 'leads' | 'stands by' | 'down';

export type Replica = { readonly name: string; readonly role: Role; readonly process: OwnedProcess };

type Running = { readonly process: OwnedProcess; readonly metricsUrl: string; role: Role };

type ReplicasOptions = {
  readonly repository: string;
  readonly controlPlane: ControlPlane;
  /** Of the service account. */
  readonly kubeconfig: string;
  readonly natsUrl: string;
  readonly logDir: string;
  readonly signal: AbortSignal;
};

const ASK_EVERY_MS = 500;
const READY_DEADLINE_MS = 30_000;

export class Replicas {
  readonly #running: readonly Running[];
  readonly #asking: NodeJS.Timeout;

  private constructor(running: readonly Running[]) {
    this.#running = running;
    this.#asking = setInterval(() => void this.#ask(), ASK_EVERY_MS);
  }

  /** Both at once; waits until both are ready and one of them leads. */
  static async start(options: ReplicasOptions): Promise<Replicas> {
    const names = ['rollcall-0', 'rollcall-1'];
    const replicas = new Replicas(await Promise.all(names.map((name) => startReplica(name, options))));
    await replicas.leader(options.signal);
    return replicas;
  }

  all(): readonly Replica[] {
    return this.#running.map(({ process, role }) => ({ name: process.name, role, process }));
  }

  /** Waits until exactly one says that it leads. */
  leader(signal: AbortSignal): Promise<Replica> {
    return waitFor(
      'one replica to lead',
      async () => {
        await this.#ask();
        const leading = this.all().filter(({ role }) => role === 'leads');
        return leading.length === 1 ? leading[0] : undefined;
      },
      { deadlineMs: READY_DEADLINE_MS, signal },
    );
  }

  /** Without ceremony: what they would hand back goes too. */
  async stop(): Promise<void> {
    clearInterval(this.#asking);
    await Promise.all(this.#running.map(({ process }) => process.kill('SIGKILL')));
  }

  async #ask(): Promise<void> {
    await Promise.all(
      this.#running.map(async (running) => {
        running.role = running.process.running ? await askRole(running.metricsUrl) : 'down';
      }),
    );
  }
}

function startReplica(name: string, options: ReplicasOptions): Promise<Running> {
  return retryPortInUse(async () => {
    const { repository, kubeconfig, natsUrl, logDir, signal } = options;
    const metrics = `127.0.0.1:${await freePort()}`;
    const health = `127.0.0.1:${await freePort()}`;
    const answer = { last: 'nothing' };
    const args = ['operator', '--kubeconfig', kubeconfig, '--nats-url', natsUrl, '--bucket', bucket];
    const spec = {
      name,
      command: join(repository, 'bin', 'rollcall'),
      args: [...args, '--metrics-addr', metrics, '--health-addr', health],
      logFile: join(logDir, `${name}.log`),
      env: cleanEnvironment(),
      readyDeadlineMs: READY_DEADLINE_MS,
      ready: async () => {
        answer.last = await get(`http://${health}/readyz`);
        return answer.last === 'ok';
      },
    };
    try {
      const process = await OwnedProcess.start(spec, signal);
      const running: Running = { process, metricsUrl: `http://${metrics}/metrics`, role: 'starting' };
      return running;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      const said = `${error.message}\nits last answer to /readyz: ${answer.last}`;
      throw new StartError(error.kind, name, said, { cause: error });
    }
  });
}

/** Somebody's ROLLCALL_* and KUBECONFIG are for another cluster. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const theirs = /^(ROLLCALL_|KUBECONFIG$|KUBERNETES_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !theirs.test(name)));
}

async function askRole(metricsUrl: string): Promise<Role> {
  try {
    const leads = /^leader_election_master_status\{[^}]*\} (\d)/m.exec(await get(metricsUrl));
    if (leads === null) return 'starting';
    return leads[1] === '1' ? 'leads' : 'stands by';
  } catch {
    return 'starting';
  }
}

async function get(url: string): Promise<string> {
  const { body } = await request(url, { headersTimeout: 2_000, bodyTimeout: 2_000 });
  return (await body.text()).trim();
}

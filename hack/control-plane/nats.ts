/**
 * Real nats-servers with JetStream on 127.0.0.1, alone or as a cluster, each restartable on its port and its store.
 * Knows nothing of buckets or clients.
 */
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { request } from 'undici';
import { freePort } from './free-port.ts';
import { OwnedProcess, retryPortInUse } from './owned-process.ts';
import { toolsDir } from './tools.ts';
import { waitFor } from './wait.ts';

export type NatsOptions = {
  /** For the log and the store, unless said otherwise. */
  readonly dir: string;
  readonly logDir?: string;
  /** Server name; default `nats` (`nats-0`... in a cluster). */
  readonly name?: string;
  readonly port?: number;
  readonly storeDir?: string;
  /** `old` is 2.10: too old for the registry, for tests that it is refused. */
  readonly binary?: 'current' | 'old';
  /** For authentication, TLS and the like; the ports, the store and the name given here win. It must log to standard output. */
  readonly configFile?: string;
  readonly args?: readonly string[];
  readonly detached?: boolean;
  readonly onStart?: (process: OwnedProcess) => void;
  /** Ends it, while starting and later. */
  readonly signal?: AbortSignal | undefined;
};

export type NatsServer = {
  readonly name: string;
  /** `nats://127.0.0.1:{port}` */
  readonly url: string;
  readonly port: number;
  /** Of the monitoring endpoints, as `/jsz`, `/healthz`. */
  readonly monitorUrl: string;
  readonly storeDir: string;
  /** To kill, pause, resume and restart. */
  readonly process: OwnedProcess;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

export type NatsCluster = {
  readonly servers: readonly NatsServer[];
  /** Of all servers, for a client. */
  readonly urls: readonly string[];
  /** By name, as `cluster.leader` in a stream's information gives it. */
  server(name: string): NatsServer;
  /** Name of the meta leader as the first living server knows it. */
  metaLeader(): Promise<string | undefined>;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function startNats(options: NatsOptions): Promise<NatsServer> {
  const server = await retryPortInUse(() => startServer(options, []), options.port === undefined ? undefined : 1);
  options.signal?.addEventListener('abort', () => void server.stop(), { once: true });
  return server;
}

/** Waits until the servers have a meta leader, so that streams can be made at once. */
export async function startNatsCluster(
  options: Omit<NatsOptions, 'name' | 'port' | 'storeDir'> & { readonly size?: number },
): Promise<NatsCluster> {
  const servers = await retryPortInUse(() => startServers(options, options.size ?? 3));
  const stop = async () => void (await Promise.all(servers.map((server) => server.stop())));
  options.signal?.addEventListener('abort', () => void stop(), { once: true });
  const cluster: NatsCluster = {
    servers,
    urls: servers.map(({ url }) => url),
    server(name) {
      const found = servers.find((server) => server.name === name);
      if (found === undefined) throw new Error(`no server ${name} in the cluster`);
      return found;
    },
    metaLeader: () => metaLeader(servers),
    stop,
    [Symbol.asyncDispose]: stop,
  };
  try {
    await waitFor('JetStream of all servers to be healthy', () => allHealthy(servers), {
      deadlineMs: 30_000,
      signal: options.signal,
    });
    return cluster;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startServers(options: Omit<NatsOptions, 'name' | 'port' | 'storeDir'>, size: number) {
  const routePorts: number[] = [];
  for (let i = 0; i < size; i += 1) routePorts.push(await freePort());
  const routes = routePorts.map((port) => `nats://127.0.0.1:${port}`);
  const started = await Promise.allSettled(
    routes.map((route, i) => {
      const clusterArgs = ['--cluster_name', 'rollcall', '--cluster', route, '--routes', routes.join(',')];
      return startServer({ ...options, name: `nats-${i}` }, clusterArgs);
    }),
  );
  const servers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = started.find((result) => result.status === 'rejected');
  if (failed === undefined) return servers;
  await Promise.all(servers.map((server) => server.stop()));
  throw failed.reason;
}

async function startServer(options: NatsOptions, clusterArgs: readonly string[]): Promise<NatsServer> {
  const { dir, name = 'nats', binary = 'current', configFile, args = [], detached, onStart, signal } = options;
  const storeDir = options.storeDir ?? join(dir, `${name}-store`);
  await mkdir(storeDir, { recursive: true });
  const binaries = await toolsDir({ signal });
  const port = options.port ?? (await freePort());
  const monitorPort = await freePort();
  const config = configFile === undefined ? [] : ['-c', configFile];
  const own = ['-a', '127.0.0.1', '-p', `${port}`, '-m', `${monitorPort}`, '-js', '-sd', storeDir, '-n', name];
  const process = await OwnedProcess.start(
    {
      name,
      command: join(binaries, binary === 'old' ? 'nats-server-old' : 'nats-server'),
      args: [...config, ...own, ...clusterArgs, ...args],
      logFile: join(options.logDir ?? dir, `${name}.log`),
      detached,
      onStart,
      // Its own log besides its port: on a port taken in between, another server would answer.
      ready: async (server) => server.log().includes('Server is ready') && (await accepts(port)),
    },
    signal,
  );
  const stop = () => process.kill('SIGKILL');
  const [url, monitorUrl] = [`nats://127.0.0.1:${port}`, `http://127.0.0.1:${monitorPort}`];
  return { name, url, port, monitorUrl, storeDir, process, stop, [Symbol.asyncDispose]: stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

async function allHealthy(servers: readonly NatsServer[]): Promise<boolean> {
  const answers = await Promise.all(servers.map(({ monitorUrl }) => request(`${monitorUrl}/healthz`)));
  await Promise.all(answers.map(({ body }) => body.dump()));
  return answers.every(({ statusCode }) => statusCode === 200) && (await metaLeader(servers)) !== undefined;
}

async function metaLeader(servers: readonly NatsServer[]): Promise<string | undefined> {
  const living = servers.find(({ process }) => process.running);
  if (living === undefined) return undefined;
  const { body } = await request(`${living.monitorUrl}/jsz`, { headersTimeout: 2_000 });
  return leaderOf(await body.json());
}

/** The edge: /jsz has `meta_cluster.leader`, empty or absent while there is none. */
function leaderOf(jsz: unknown): string | undefined {
  const { meta_cluster: cluster } = jsz as { readonly meta_cluster?: { readonly leader?: string } };
  return cluster?.leader || undefined;
}

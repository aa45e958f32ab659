/**
 * A real Kubernetes control plane without containers: etcd, kube-apiserver with RBAC, controller manager, scheduler,
 * and kwok in place of kubelets, each an ordinary process on 127.0.0.1. Ready in 2-3 s, about 500 MB. For tests, the
 * demo and benchmarks; nothing here is durable or safe to show to a network.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiClient } from './api-client.ts';
import { freePort } from './free-port.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { type KubectlResult, runKubectl } from './kubectl.ts';
import { defaultGroup, groupAnnotation } from './nodes.ts';
import { OwnedProcess, type ProcessSpec, retryPortInUse } from './owned-process.ts';
import { toolsDir } from './tools.ts';
import { waitFor } from './wait.ts';

const stages = fileURLToPath(new URL('../kwok/', import.meta.url));

/** `admin` may do everything; `rollcall` and `viewer` have no rights until somebody binds them. */
export type User = { readonly name: string; readonly groups?: readonly string[] };

export type ControlPlaneOptions = {
  /** Data, certificates and logs; made if absent, never removed here. */
  readonly dir: string;
  /** Default: `dir`. */
  readonly logDir?: string;
  /** All three default to true. Without the controller manager there are no service accounts, so pods need none. */
  readonly controllerManager?: boolean;
  readonly scheduler?: boolean;
  readonly kwok?: boolean;
  /** Further users beside the known ones. */
  readonly users?: readonly User[];
  /** Default 127.0.0.1. */
  readonly address?: string;
  /** Appended, so they win over ours. */
  readonly apiServerArgs?: readonly string[];
  readonly detached?: boolean;
  readonly onStart?: (process: OwnedProcess) => void;
  /** Ends everything, while starting and later. */
  readonly signal?: AbortSignal | undefined;
};

/** Names of processes; further kwoks are called `kwok-{group}`. */
export type ProcessName =
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kwok'
  | `kwok-${string}`;

export class ControlPlane {
  readonly dir: string;
  readonly url: string;
  /** Of the admin. */
  readonly kubeconfig: string;
  readonly caFile: string;
  /** Where kubectl and the other binaries are. */
  readonly binaries: string;
  readonly #tokens: ReadonlyMap<string, string>;
  readonly #processes = new Map<string, OwnedProcess>();
  readonly #clients = new Map<string, ApiClient>();
  readonly #options: ControlPlaneOptions;

  constructor(options: ControlPlaneOptions, binaries: string, url: string, tokens: ReadonlyMap<string, string>) {
    this.dir = options.dir;
    this.url = url;
    this.kubeconfig = join(options.dir, 'admin.kubeconfig');
    this.caFile = join(options.dir, 'certs', 'apiserver.crt');
    this.#options = options;
    this.binaries = binaries;
    this.#tokens = tokens;
  }

  get adminToken(): string {
    return this.token('admin');
  }

  get pids(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#processes].map(([name, { pid }]) => [name, pid]));
  }

  get processes(): readonly OwnedProcess[] {
    return [...this.#processes.values()];
  }

  process(name: ProcessName): OwnedProcess {
    const found = this.#processes.get(name);
    if (found === undefined) throw new Error(`this control plane runs no ${name}`);
    return found;
  }

  token(user: string): string {
    const token = this.#tokens.get(user);
    if (token === undefined) throw new Error(`no user ${user}; give it to startControlPlane in "users"`);
    return token;
  }

  /** A client as that user; one per user, closed by `stop`. */
  api(user = 'admin'): ApiClient {
    const known = this.#clients.get(user);
    if (known !== undefined) return known;
    const client = new ApiClient({ url: this.url, caFile: this.caFile, token: this.token(user) });
    this.#clients.set(user, client);
    return client;
  }

  /** Writes a kubeconfig for a user (default path `{dir}/{user}.kubeconfig`) and returns its path. */
  writeKubeconfig({ user, token = this.token(user), path = join(this.dir, `${user}.kubeconfig`) }: KubeconfigFor) {
    return writeKubeconfig({ path, url: this.url, caFile: this.caFile, user, token });
  }

  /** Runs kubectl; a failing command is a result, not an error. */
  async kubectl(args: readonly string[], { user = 'admin', input }: KubectlOptions = {}): Promise<KubectlResult> {
    const kubeconfig = user === 'admin' ? this.kubeconfig : await this.writeKubeconfig({ user });
    const binary = join(this.binaries, 'kubectl');
    return runKubectl({ binary, kubeconfig, cacheDir: join(this.dir, 'kubectl-cache'), args, input });
  }

  /** kubectl that must succeed; returns its output. */
  async kubectlOk(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim()}`);
    return stdout;
  }

  /** Creates a namespace and waits for its default service account, without which no pod is admitted. */
  async createNamespace(name: string, metadata: object = {}): Promise<void> {
    await this.api().post('/api/v1/namespaces', { metadata: { ...metadata, name } });
    if (!this.#processes.has('kube-controller-manager')) return;
    const account = `/api/v1/namespaces/${name}/serviceaccounts/default`;
    await waitFor(`the service account of ${name}`, () => this.api().find(account));
  }

  /**
   * One more kwok that plays the nodes of its group only, so that killing or pausing it loses just those nodes.
   * The process is called `kwok-{group}` (`kwok` for the default group).
   */
  startKwok(group = defaultGroup): Promise<OwnedProcess> {
    return this.start({
      name: group === defaultGroup ? 'kwok' : `kwok-${group}`,
      command: join(this.binaries, 'kwok'),
      args: [
        `--kubeconfig=${this.kubeconfig}`,
        `--manage-nodes-with-annotation-selector=${groupAnnotation}=${group}`,
        '--node-lease-duration-seconds=40',
        `--config=${join(stages, 'kwok.yaml')}`,
        `--config=${join(stages, 'nodes.yaml')}`,
        `--config=${join(stages, 'pods.yaml')}`,
      ],
    });
  }

  /** Starts one more process that `stop` ends. */
  async start(spec: Omit<ProcessSpec, 'logFile' | 'detached' | 'onStart'>): Promise<OwnedProcess> {
    const { detached, onStart, signal } = this.#options;
    const logFile = join(this.#options.logDir ?? this.dir, `${spec.name}.log`);
    const started = await OwnedProcess.start({ ...spec, logFile, detached, onStart }, signal);
    this.#processes.set(spec.name, started);
    return started;
  }

  /** Kills all of it, in reverse order: the data are throw-away. */
  async stop(): Promise<void> {
    for (const process of this.processes.toReversed()) await process.kill('SIGKILL');
    await this.close();
  }

  /** Closes the clients and leaves the servers running. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    this.#clients.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

export type KubeconfigFor = { readonly user: string; readonly token?: string; readonly path?: string };
export type KubectlOptions = { readonly user?: string; readonly input?: string };

/** Starts it and waits until the API is ready. On failure everything started is ended. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const binaries = await toolsDir({ signal: options.signal });
  await mkdir(join(options.dir, 'certs'), { recursive: true });
  const tokens = await writeCredentials(options);
  const controlPlane = await retryPortInUse(() => startApi(options, binaries, tokens));
  options.signal?.addEventListener('abort', () => void controlPlane.stop(), { once: true });
  try {
    await controlPlane.writeKubeconfig({ user: 'admin' });
    await Promise.all([
      (options.controllerManager ?? true) && startControllerManager(controlPlane, binaries),
      (options.scheduler ?? true) && startScheduler(controlPlane, binaries),
      (options.kwok ?? true) && controlPlane.startKwok(),
    ]);
    return controlPlane;
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

/** The key of service account tokens and the table of users; returns the token of each user. */
async function writeCredentials({ dir, users = [] }: ControlPlaneOptions): Promise<ReadonlyMap<string, string>> {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  await writeFile(serviceAccountKey(dir), key.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  const admin: User = { name: 'admin', groups: ['system:masters'] };
  const tokens = new Map<string, string>();
  const lines = [admin, { name: 'rollcall' }, { name: 'viewer' }, ...users].map(({ name, groups = [] }: User) => {
    const token = randomBytes(16).toString('hex');
    tokens.set(name, token);
    return `${token},${name},${name},"${groups.join(',')}"\n`;
  });
  await writeFile(join(dir, 'tokens.csv'), lines.join(''), { mode: 0o600 });
  return tokens;
}

const serviceAccountKey = (dir: string) => join(dir, 'service-account.key');

async function startApi(options: ControlPlaneOptions, binaries: string, tokens: ReadonlyMap<string, string>) {
  const { dir, address = '127.0.0.1' } = options;
  const etcdUrl = `http://127.0.0.1:${await freePort()}`;
  const port = await freePort(address);
  const controlPlane = new ControlPlane(options, binaries, `https://${address}:${port}`, tokens);
  try {
    await controlPlane.start({
      name: 'etcd',
      command: join(binaries, 'etcd'),
      args: [
        `--data-dir=${join(dir, 'etcd')}`,
        `--listen-client-urls=${etcdUrl}`,
        `--advertise-client-urls=${etcdUrl}`,
        '--listen-peer-urls=http://127.0.0.1:0',
        '--unsafe-no-fsync',
        '--quota-backend-bytes=4294967296',
      ],
      // Its own log rather than its port: on a port taken in between, another etcd would answer.
      ready: async (etcd) => etcd.log().includes('ready to serve client requests'),
    });
    await controlPlane.start({
      name: 'kube-apiserver',
      command: join(binaries, 'kube-apiserver'),
      args: [...apiServerArgs(options, etcdUrl, address, port), ...(options.apiServerArgs ?? [])],
      ready: () => isReady(controlPlane),
    });
    return controlPlane;
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

/** With a client of its own: the certificate file may be half written when it is first read. */
async function isReady({ url, caFile, adminToken: token }: ControlPlane): Promise<boolean> {
  const client = new ApiClient({ url, caFile, token });
  try {
    return (await client.text('/readyz')) === 'ok';
  } finally {
    await client.close();
  }
}

function apiServerArgs(options: ControlPlaneOptions, etcdUrl: string, address: string, port: number) {
  const { dir, controllerManager = true } = options;
  const key = serviceAccountKey(dir);
  return [
    `--etcd-servers=${etcdUrl}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    `--advertise-address=${address}`,
    // Nobody reaches the API as a Service here, and the reconciler refuses a loopback address.
    '--endpoint-reconciler-type=none',
    `--cert-dir=${join(dir, 'certs')}`,
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.96.0.0/16',
    `--token-auth-file=${join(dir, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--profiling=false',
    // Nobody would make the service accounts.
    ...(controllerManager ? [] : ['--disable-admission-plugins=ServiceAccount']),
  ];
}

/** The default limits (20-50 requests per second) would make a thousand pods take a minute. */
const apiLimits = ['--kube-api-qps=1000', '--kube-api-burst=2000'];

function startControllerManager(controlPlane: ControlPlane, binaries: string): Promise<OwnedProcess> {
  return controlPlane.start({
    name: 'kube-controller-manager',
    command: join(binaries, 'kube-controller-manager'),
    args: [
      `--kubeconfig=${controlPlane.kubeconfig}`,
      '--leader-elect=false',
      '--secure-port=0',
      `--service-account-private-key-file=${serviceAccountKey(controlPlane.dir)}`,
      '--use-service-account-credentials=true',
      `--root-ca-file=${controlPlane.caFile}`,
      ...apiLimits,
    ],
  });
}

function startScheduler(controlPlane: ControlPlane, binaries: string): Promise<OwnedProcess> {
  return controlPlane.start({
    name: 'kube-scheduler',
    command: join(binaries, 'kube-scheduler'),
    args: [`--kubeconfig=${controlPlane.kubeconfig}`, '--leader-elect=false', '--secure-port=0', ...apiLimits],
  });
}

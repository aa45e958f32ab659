// Where the API server is and how we prove who we are, kept as fresh as the files it comes from. In a cluster that is
// two files and two variables, read here; a kubeconfig is left to @kubernetes/client-node, which is imported only then
// (it costs 0.6 s and 88 MB). Opens no connection.

import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { dirname, isAbsolute, join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { Clock } from '../clock.ts';
import { field, textField } from './api-transport.ts';

export type Access = {
  /** `https://host:port`, without a path. */
  readonly origin: string;
  /** Put before every path; empty for most servers. */
  readonly basePath: string;
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
  readonly headers: Readonly<Record<string, string>>;
};

/** Reads everything anew; `force` also asks plug-ins and caches of tokens again. */
export type AccessSource = (force: boolean) => Promise<Access>;

export type CredentialOptions = {
  /** A kubeconfig's path; absent: in-cluster where that is given, else `KUBECONFIG`, else `~/.kube/config`. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where the service account's files are; the default is the kubelet's. */
  readonly serviceAccountDir?: string;
};

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews a token when a fifth of its life is left, so a minute of lag is never too late. */
const MAX_AGE_MS = 60_000;
/** A server that refuses everything must not make us read files, or run a plug-in, at every request. */
const FORCE_INTERVAL_MS = 1_000;

/** The namespace of the pod that this process runs in; undefined outside a cluster. */
export const ownNamespace = async (dir = SERVICE_ACCOUNT_DIR): Promise<string | undefined> => {
  const text = await readFile(join(dir, 'namespace'), 'utf8').catch(() => '');
  return text.trim() === '' ? undefined : text.trim();
};

export class Credentials {
  readonly #source: AccessSource;
  readonly #clock: Clock;
  #access: Promise<Access> | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(source: AccessSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** At most a minute old. Keeps the last good ones while their files cannot be read. */
  current(): Promise<Access> {
    const tooOld = this.#clock.monotonicMs() - this.#readAtMs >= MAX_AGE_MS;
    return this.#access === undefined || tooOld ? this.#read(false) : this.#access;
  }

  /** The server refused what we have, or we its certificate: whatever can be read anew is. */
  renewed(): Promise<Access> {
    const justRead = this.#clock.monotonicMs() - this.#readAtMs < FORCE_INTERVAL_MS;
    return this.#access !== undefined && justRead ? this.#access : this.#read(true);
  }

  #read(force: boolean): Promise<Access> {
    const before = this.#access;
    this.#readAtMs = this.#clock.monotonicMs();
    const reading = this.#source(force).catch((error: unknown) => {
      if (before !== undefined) return before;
      this.#access = undefined;
      throw error;
    });
    this.#access = reading;
    return reading;
  }
}

/** Decides where to read from. @throws Error with a sentence for the person who started us */
export async function findAccess(options: CredentialOptions): Promise<AccessSource> {
  const env = options.env ?? process.env;
  const dir = options.serviceAccountDir ?? SERVICE_ACCOUNT_DIR;
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (options.kubeconfig === undefined && host !== undefined && port !== undefined) return inCluster(host, port, dir);
  const paths = kubeconfigPaths(options.kubeconfig, env);
  const source = fromKubeconfig(paths, options.context);
  await source(false);
  return source;
}

function inCluster(host: string, port: string, dir: string): AccessSource {
  return async () => {
    const [token, ca] = await Promise.all([
      readFile(join(dir, 'token'), 'utf8'),
      readFile(join(dir, 'ca.crt'), 'utf8'),
    ]);
    return {
      origin: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      basePath: '',
      tls: { ca },
      headers: { authorization: `Bearer ${token.trim()}` },
    };
  };
}

function kubeconfigPaths(path: string | undefined, env: Readonly<Record<string, string | undefined>>): string[] {
  if (path !== undefined) return [path];
  const listed = (env['KUBECONFIG'] ?? '').split(':').filter((entry) => entry !== '');
  if (listed.length > 0) return listed;
  if (env['HOME'] === undefined) throw new Error('no kubeconfig: give --kubeconfig, or set KUBECONFIG');
  return [join(env['HOME'], '.kube', 'config')];
}

function fromKubeconfig(paths: readonly string[], context: string | undefined): AccessSource {
  let loaded: Awaited<ReturnType<typeof loadKubeconfig>> | undefined;
  return async (force) => {
    if (loaded === undefined || force) loaded = await loadKubeconfig(paths, context);
    const { config, origin, basePath } = loaded;
    // Reads CA, certificate and key files at every call, a token file when a minute old, and runs exec plug-ins when
    // their token has expired.
    const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
    await config.applyToHTTPSOptions(options);
    return { origin, basePath, tls: tlsOf(options), headers: headersOf(options) };
  };
}

async function loadKubeconfig(paths: readonly string[], context: string | undefined) {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  for (const [index, path] of paths.entries()) {
    const one = new KubeConfig();
    one.loadFromFile(path);
    await addTokenFiles(one.users, path);
    if (index === 0) config.loadFromOptions(one);
    else config.mergeConfig(one, true);
  }
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw new Error(`${paths.join(', ')}: no context "${context}"`);
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error(`${paths.join(', ')}: no current context with a cluster`);
  if (cluster.proxyUrl !== undefined && cluster.proxyUrl !== null) {
    throw new Error(`${paths.join(', ')}: proxy-url is not supported`);
  }
  const url = new URL(cluster.server);
  return { config, origin: url.origin, basePath: url.pathname.replace(/\/+$/, '') };
}

/** client-node knows `tokenFile` of an auth provider, but not the kubeconfig's own field of that name. */
async function addTokenFiles(
  users: { name: string; authProvider?: unknown; token?: string }[],
  path: string,
): Promise<void> {
  const raw: unknown = parseYaml(await readFile(path, 'utf8'));
  const entries = field(raw, 'users');
  for (const entry of Array.isArray(entries) ? entries : []) {
    const file = textField(entry, 'user', 'tokenFile');
    const user = users.find((candidate) => candidate.name === field(entry, 'name'));
    if (file === undefined || user === undefined) continue;
    const tokenFile = isAbsolute(file) ? file : join(dirname(path), file);
    user.authProvider = { name: 'tokenFile', config: { tokenFile } };
    delete user.token;
  }
}

function tlsOf(options: object): Access['tls'] {
  const text = (name: string) => {
    const value = field(options, name);
    return Buffer.isBuffer(value) ? value.toString('utf8') : typeof value === 'string' ? value : undefined;
  };
  const found = { ca: text('ca'), cert: text('cert'), key: text('key'), servername: text('servername') };
  return {
    ...(found.ca === undefined ? {} : { ca: found.ca }),
    ...(found.cert === undefined ? {} : { cert: found.cert }),
    ...(found.key === undefined ? {} : { key: found.key }),
    ...(found.servername === undefined ? {} : { servername: found.servername }),
    ...(field(options, 'rejectUnauthorized') === false ? { rejectUnauthorized: false } : {}),
  };
}

function headersOf(options: object): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(field(options, 'headers') ?? {})) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value.trim();
  }
  const basic = field(options, 'auth');
  if (typeof basic === 'string') headers['authorization'] = `Basic ${Buffer.from(basic).toString('base64')}`;
  return headers;
}

/** The namespace of the context in force; undefined in a cluster, and where the context names none. */
export async function currentNamespace(options: CredentialOptions): Promise<string | undefined> {
  const env = options.env ?? process.env;
  if (options.kubeconfig === undefined && env['KUBERNETES_SERVICE_HOST'] !== undefined) return undefined;
  const { config } = await loadKubeconfig(kubeconfigPaths(options.kubeconfig, env), options.context);
  return config.getContextObject(config.getCurrentContext())?.namespace ?? undefined;
}

// The few Kubernetes API calls that the harness and the end-to-end stories make, on plain HTTPS. Not the operator's client,
// on purpose: what judges the operator must not share its faults.

import { readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import { z } from 'zod';

const kubeconfigSchema = z.object({
  clusters: z.array(
    z.object({
      name: z.string(),
      cluster: z.object({
        server: z.url(),
        'certificate-authority': z.string().optional(),
        'certificate-authority-data': z.base64().optional(),
        'insecure-skip-tls-verify': z.boolean().optional(),
      }),
    }),
  ),
  users: z.array(
    z.object({
      name: z.string(),
      user: z.object({
        token: z.string().optional(),
        'client-certificate': z.string().optional(),
        'client-certificate-data': z.base64().optional(),
        'client-key': z.string().optional(),
        'client-key-data': z.base64().optional(),
      }),
    }),
  ),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: z.string() }) })),
  'current-context': z.string(),
});

export type KubeApi = {
  /** A JSON answer of any 2xx; everything else is a `KubeApiError`. */
  readonly call: (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => Promise<unknown>;
  /** One parsed event per line until the server or the signal ends it; `onLine` is called as the line arrives. */
  readonly watch: (path: string, signal: AbortSignal, onLine: (event: unknown) => void) => Promise<void>;
  readonly close: () => Promise<void>;
};

export class KubeApiError extends Error {
  readonly status: number;
  constructor(method: string, path: string, status: number, text: string) {
    super(`${method} ${path}: ${status} ${text.slice(0, 300)}`);
    this.status = status;
  }
}

export const openKubeApi = async (kubeconfigPath: string): Promise<KubeApi> => {
  const config = kubeconfigSchema.parse(parse(await readFile(kubeconfigPath, 'utf8')));
  const context = config.contexts.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users.find(({ name }) => name === context?.user)?.user;
  if (cluster === undefined || user === undefined)
    throw new Error(`${kubeconfigPath}: no cluster and user in the current context`);

  const ca = await pem(cluster['certificate-authority-data'], cluster['certificate-authority']);
  const cert = await pem(user['client-certificate-data'], user['client-certificate']);
  const key = await pem(user['client-key-data'], user['client-key']);
  const agent = new Agent({
    allowH2: false,
    bodyTimeout: 0,
    connect: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      rejectUnauthorized: cluster['insecure-skip-tls-verify'] !== true,
    },
  });
  const headers: Record<string, string> = { accept: 'application/json' };
  if (user.token !== undefined) headers['authorization'] = `Bearer ${user.token}`;
  const url = (path: string) => new URL(path, cluster.server);

  return {
    call: async (method, path, body) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const response = await request(url(path), {
        method,
        dispatcher: agent,
        headers: { ...headers, 'content-type': type },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(15_000),
      });
      const text = await response.body.text();
      if (response.statusCode >= 300) throw new KubeApiError(method, path, response.statusCode, text);
      return JSON.parse(text);
    },
    watch: async (path, signal, onLine) => {
      const response = await request(url(path), { dispatcher: agent, headers, signal });
      if (response.statusCode >= 300) {
        throw new KubeApiError('GET', path, response.statusCode, await response.body.text());
      }
      let rest = '';
      response.body.setEncoding('utf8');
      for await (const chunk of response.body) {
        const lines = `${rest}${String(chunk)}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') onLine(JSON.parse(line));
      }
    },
    close: () => agent.destroy(),
  };
};

const pem = async (data: string | undefined, path: string | undefined): Promise<string | undefined> => {
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
  return path === undefined ? undefined : readFile(path, 'utf8');
};

// Our transport and a real kube-apiserver, held to the contract; and what only a real server and a real network can do:
// credentials, TLS, connections that are cut or hang.

import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { systemClock } from '../../src/clock.ts';
import { ApiError, type ApiTransport, field, textField } from '../../src/kubernetes/api-transport.ts';
import { createCluster } from '../../src/kubernetes/cluster-writer.ts';
import { EventRecorder } from '../../src/kubernetes/event-recorder.ts';
import { collectionPath, resources } from '../../src/kubernetes/resources.ts';
import { describeRight, missingRights, readingRights } from '../../src/kubernetes/rights.ts';
import { connectApi } from '../../src/kubernetes/undici-transport.ts';
import { apiContract } from '../contract/api.contract.ts';
import { RealApi } from '../support/real-api.ts';

let real: RealApi;
const never = new AbortController().signal;

beforeAll(async () => {
  real = await RealApi.start({ controllerManager: true });
});
afterAll(() => real?.stop());

const READYZ = '/readyz';
const ready = async (transport: ApiTransport) =>
  (await transport.request({ method: 'GET', path: READYZ, signal: never })).status;

apiContract('kube-apiserver', async () => {
  const [namespace, otherNamespace] = [await real.namespace(), await real.namespace()];
  return {
    transport: await real.connect(),
    powerless: await real.connect('viewer'),
    namespace,
    otherNamespace,
    // The watch cache of a custom resource begins when its definition is made, long after version 1.
    oldVersion: async () => '1',
    collectsGarbage: true,
    run: (promise) => promise,
    sleep: (ms) => systemClock.sleep(ms, never),
    close: async () => {},
  };
});

describe('the connection', () => {
  test('an answer that does not come is a transient error in time, and the next request has a connection of its own', async () => {
    const proxy = await real.proxy();
    const transport = await real.connect('admin', proxy);
    expect(await ready(transport)).toBe(200);
    proxy.hold();
    const startedMs = performance.now();
    const asking = transport.request({ method: 'GET', path: READYZ, timeoutMs: 700, signal: never });
    await expect(asking).rejects.toMatchObject({ name: 'ApiError', kind: 'transient' });
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    proxy.pass();
    expect(await ready(transport)).toBe(200);
    proxy.cut();
    await expect(ready(transport)).rejects.toBeInstanceOf(ApiError);
    proxy.pass();
    expect(await ready(transport)).toBe(200);
  });

  test('an abort ends a request and a watch within a second', async () => {
    const proxy = await real.proxy();
    const transport = await real.connect('admin', proxy);
    const stop = new AbortController();
    const stream = await transport.stream({
      path: collectionPath(resources.Namespace),
      query: { watch: 1 },
      signal: stop.signal,
    });
    let pieces = 0;
    const read = (async () => {
      for await (const _ of stream.body) pieces++;
    })();
    await waitFor('the first piece', async () => pieces > 0);
    proxy.hold();
    const asking = transport.request({ method: 'GET', path: READYZ, signal: stop.signal }).catch(() => 'aborted');
    await systemClock.sleep(200, never);
    const startedMs = performance.now();
    stop.abort();
    expect(await asking).toBe('aborted');
    await read;
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    proxy.pass();
    await waitFor('the connections to be closed', async () => proxy.connections() <= 1);
  });

  test('requests share a pool: 40 at once take at most 12 connections', async () => {
    const proxy = await real.proxy();
    const transport = await real.connect('admin', proxy);
    expect(await Promise.all(Array.from({ length: 40 }, () => ready(transport)))).toEqual(Array(40).fill(200));
    expect(proxy.accepted()).toBeLessThanOrEqual(12);
  });

  test('forty short watches at once, as where many namespaces are quiet, hold up neither each other nor requests', async () => {
    const proxy = await real.proxy();
    const transport = await real.connect('admin', proxy);
    const stop = new AbortController();
    const query = { watch: 1, timeoutSeconds: 3 };
    const open = () =>
      transport.stream({
        path: collectionPath(resources.Node),
        query,
        timeoutMs: 2_000,
        shared: true,
        signal: stop.signal,
      });
    const streams = await Promise.all(Array.from({ length: 40 }, open));
    expect(streams.map(({ status }) => status)).toEqual(Array(40).fill(200));
    const startedMs = performance.now();
    expect(await ready(transport)).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    stop.abort();
  });

  test('says who it is', async () => {
    const seen: IncomingMessage[] = [];
    const server = createServer((request, response) => {
      seen.push(request);
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const path = join(real.dir, 'plain.kubeconfig');
    await writeFile(path, kubeconfigOf(`http://127.0.0.1:${port}/prefix`, { username: 'u', password: 'p' }));
    const transport = await connectApi({ kubeconfig: path, clock: systemClock, version: '1.2.3' });
    await transport.request({ method: 'GET', path: '/x', query: { a: 'b c', n: 1 }, signal: never });
    await transport.close();
    server.close();
    expect(seen[0]?.url).toBe('/prefix/x?a=b+c&n=1');
    expect(seen[0]?.headers['user-agent']).toBe('rollcall/1.2.3');
    expect(seen[0]?.headers.authorization).toBe(`Basic ${Buffer.from('u:p').toString('base64')}`);
  });
});

describe('credentials', () => {
  test('a token that was rotated in its file is read anew when the old one is refused', async () => {
    const tokenFile = join(real.dir, 'token');
    await writeFile(tokenFile, real.controlPlane.adminToken);
    const path = join(real.dir, 'rotated.kubeconfig');
    await writeFile(path, kubeconfigOf(real.controlPlane.url, { tokenFile: 'token' }, real.controlPlane.caFile));
    const transport = await connectApi({ kubeconfig: path, clock: systemClock, version: 'test' });
    const list = () => transport.request({ method: 'GET', path: collectionPath(resources.Node), signal: never });
    expect((await list()).status).toBe(200);
    await writeFile(tokenFile, 'wrong');
    // Nobody has noticed yet: the file is a minute young.
    expect((await list()).status).toBe(200);
    await transport.close();
    const second = await connectApi({ kubeconfig: path, clock: systemClock, version: 'test' });
    const askSecond = () => second.request({ method: 'GET', path: collectionPath(resources.Node), signal: never });
    expect((await askSecond()).status).toBe(401);
    await writeFile(tokenFile, `${real.controlPlane.adminToken}\n`);
    await systemClock.sleep(1_100, never);
    expect((await askSecond()).status).toBe(200);
    await second.close();
  });

  test('a CA that was replaced in its file is read anew when the server is not trusted', async () => {
    const caFile = join(real.dir, 'ca.crt');
    await writeFile(caFile, await readFile(real.controlPlane.caFile));
    const path = join(real.dir, 'ca.kubeconfig');
    await writeFile(path, kubeconfigOf(real.controlPlane.url, { token: real.controlPlane.adminToken }, caFile));
    const other = await RealApi.start({ controllerManager: false });
    try {
      await writeFile(caFile, await readFile(other.controlPlane.caFile));
      const transport = await connectApi({ kubeconfig: path, clock: systemClock, version: 'test' });
      await expect(ready(transport)).rejects.toMatchObject({ kind: 'transient' });
      await writeFile(caFile, await readFile(real.controlPlane.caFile));
      await systemClock.sleep(1_100, never);
      await ready(transport).catch(() => {});
      expect(await ready(transport)).toBe(200);
      await transport.close();
    } finally {
      await other.stop();
    }
  });

  test('in a cluster: two files and two variables', async () => {
    const url = new URL(real.controlPlane.url);
    const serviceAccountDir = join(real.dir, 'serviceaccount');
    await import('node:fs/promises').then(({ mkdir }) => mkdir(serviceAccountDir, { recursive: true }));
    await writeFile(join(serviceAccountDir, 'token'), real.controlPlane.adminToken);
    await writeFile(join(serviceAccountDir, 'ca.crt'), await readFile(real.controlPlane.caFile));
    const env = { KUBERNETES_SERVICE_HOST: url.hostname, KUBERNETES_SERVICE_PORT: url.port };
    const transport = await connectApi({ env, serviceAccountDir, clock: systemClock, version: 'test' });
    expect(await ready(transport)).toBe(200);
    await transport.close();
  });

  test('no way to find the server is one sentence', async () => {
    const common = { clock: systemClock, version: 'test' };
    await expect(connectApi({ ...common, env: {} })).rejects.toThrow('no kubeconfig');
    await expect(connectApi({ ...common, kubeconfig: '/nowhere', env: {} })).rejects.toThrow('/nowhere');
    const kubeconfig = await real.kubeconfig();
    await expect(connectApi({ ...common, kubeconfig, context: 'other' })).rejects.toThrow('no context "other"');
  });
});

describe('what is written', () => {
  test('an event and its series arrive', async () => {
    const namespace = await real.namespace();
    const transport = await real.connect();
    const stop = new AbortController();
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const events = new EventRecorder({
      transport,
      clock: systemClock,
      random: () => 0.5,
      log,
      reportingInstance: 'replica-1',
    });
    const running = events.run(stop.signal);
    const regarding = { apiVersion: 'v1', kind: 'Pod', namespace, name: 'some-pod', uid: crypto.randomUUID() };
    const notice = {
      regarding,
      type: 'Warning',
      reason: 'Conflict',
      action: 'Register',
      note: `é${'x'.repeat(2_000)}`,
    } as const;
    const stored = async () => {
      const answer = await transport.request({
        method: 'GET',
        path: collectionPath(resources.Event, namespace),
        signal: never,
      });
      const items = field(answer.body, 'items');
      return Array.isArray(items) ? items : [];
    };
    events.emit(notice);
    await waitFor('the event', async () => (await stored()).length === 1);
    events.emit(notice);
    events.emit(notice);
    await waitFor('the series', async () => field((await stored())[0], 'series', 'count') === 3);
    expect(await stored()).toHaveLength(1);
    const [event] = await stored();
    expect(Buffer.byteLength(textField(event, 'note') ?? '')).toBeLessThanOrEqual(1_024);
    expect(textField(event, 'eventTime')).toMatch(/\.[0-9]{6}Z$/);
    stop.abort();
    await running;
  });

  test('rights that are missing are found before anything is believed', async () => {
    const rights = readingRights([resources.Pod, resources.ServiceRegistration], []);
    expect(await missingRights(createCluster(await real.connect()), rights, never)).toEqual([]);
    const missing = await missingRights(createCluster(await real.connect('viewer')), rights, never);
    expect(missing.map(describeRight)).toEqual([
      'list pods',
      'watch pods',
      'list serviceregistrations.rollcall.dev',
      'watch serviceregistrations.rollcall.dev',
    ]);
  });
});

const kubeconfigOf = (server: string, user: object, caFile?: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'c',
        cluster: {
          server,
          ...(caFile === undefined ? { 'insecure-skip-tls-verify': true } : { 'certificate-authority': caFile }),
        },
      },
    ],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });

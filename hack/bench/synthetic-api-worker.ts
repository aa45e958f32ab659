/**
 * An API server as far as the operator asks one: WatchList over TLS of very many synthetic pods, their registrations
 * with a status that can be patched, and nothing of everything else. Each event is written by itself, as the real
 * server does. In a process of its own, so that what it costs is not charged to who is measured.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { answerQuestions, trusted } from '../control-plane/worker-process.ts';
import { syntheticPod, syntheticRegistrations } from './synthetic-pod.ts';

export type SyntheticApi = { readonly pods: number; readonly keyFile: string; readonly certFile: string };

const INITIAL_VERSION = 1_000_000;
type Registration = {
  readonly metadata: { namespace: string; name: string; resourceVersion: string };
  status?: unknown;
};
type Watch = { readonly path: string; readonly response: ServerResponse };

const state = { pods: 0, version: INITIAL_VERSION, patches: 0 };
const registrations = new Map<string, Registration>();
const watches = new Set<Watch>();

const REGISTRATIONS = '/apis/rollcall.dev/v1alpha1/serviceregistrations';
const PODS = '/api/v1/pods';

answerQuestions({ start: (argument) => start(trusted<SyntheticApi>(argument)) });

/** Resolves with the URL. */
function start({ pods, keyFile, certFile }: SyntheticApi): Promise<string> {
  state.pods = pods;
  for (const one of syntheticRegistrations(INITIAL_VERSION).map((object) => trusted<Registration>(object))) {
    registrations.set(`${one.metadata.namespace}/${one.metadata.name}`, one);
  }
  const server = createServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, (request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(new Error('failed', { cause: error })));
  });
  // Watches are quiet for long.
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = trusted<AddressInfo>(server.address());
      resolve(`https://127.0.0.1:${port}`);
    });
  });
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://localhost');
  const body = await bodyOf(request);
  if (request.method === 'GET' && url.searchParams.has('watch')) return watch(url, response);
  if (request.method === 'GET' && url.pathname === '/api/v1/namespaces/kube-system') {
    return json(response, 200, { metadata: { name: 'kube-system', uid: 'c0ffee00-0000-4000-8000-000000000000' } });
  }
  if (request.method === 'GET' && url.pathname === PODS) return podsOf(url, response);
  if (request.method === 'GET') return json(response, 200, listOf(url));
  if (request.method === 'PATCH') return patch(url.pathname, body, response);
  const object = trusted<object>(body === '' ? {} : JSON.parse(body));
  // Of a review of rights; an event has no status.
  json(response, 201, { ...object, status: { allowed: true } });
}

/** A page of pods: of a relist, or of one where only the version is wanted. */
function podsOf({ searchParams }: URL, response: ServerResponse): void {
  if (!searchParams.has('limit')) throw new Error('a list of all pods at once was not expected');
  const from = Number(searchParams.get('continue') ?? 0);
  const to = Math.min(state.pods, from + Number(searchParams.get('limit')));
  const items = Array.from({ length: to - from }, (_, index) => syntheticPod(from + index, INITIAL_VERSION));
  const metadata = { resourceVersion: versionOf(PODS), ...(to < state.pods ? { continue: `${to}` } : {}) };
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`{"kind":"PodList","metadata":${JSON.stringify(metadata)},"items":[${items.join(',')}]}`);
}

function listOf({ pathname }: URL): object {
  const items = pathname === REGISTRATIONS ? [...registrations.values()] : [];
  return { metadata: { resourceVersion: versionOf(pathname) }, items };
}

const versionOf = (path: string): string => `${path === REGISTRATIONS ? state.version : INITIAL_VERSION}`;

async function watch({ pathname, searchParams }: URL, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' });
  if (searchParams.has('sendInitialEvents')) {
    if (pathname === PODS) await sendPods(response);
    if (pathname === REGISTRATIONS) for (const one of registrations.values()) response.write(event('ADDED', one));
  }
  response.write(
    event('BOOKMARK', {
      metadata: { resourceVersion: versionOf(pathname), annotations: { 'k8s.io/initial-events-end': 'true' } },
    }),
  );
  const entry = { path: pathname, response };
  watches.add(entry);
  response.once('close', () => watches.delete(entry));
}

async function sendPods(response: ServerResponse): Promise<void> {
  for (let index = 0; index < state.pods && !response.destroyed; index += 1) {
    const line = `{"type":"ADDED","object":${syntheticPod(index, INITIAL_VERSION)}}\n`;
    if (!response.write(line)) await drained(response);
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** `.../namespaces/{namespace}/serviceregistrations/{name}/status` */
function patch(path: string, body: string, response: ServerResponse): void {
  const [, namespace, name] = /namespaces\/([^/]+)\/serviceregistrations\/([^/]+)\/status$/.exec(path) ?? [];
  const stored = registrations.get(`${namespace}/${name}`);
  if (stored === undefined) return json(response, 404, { kind: 'Status', code: 404, reason: 'NotFound' });
  state.version += 1;
  state.patches += 1;
  const { status } = trusted<{ status: unknown }>(JSON.parse(body));
  const next = {
    ...stored,
    metadata: { ...stored.metadata, resourceVersion: `${state.version}` },
    status: merged(stored.status, status),
  };
  registrations.set(`${namespace}/${name}`, next);
  json(response, 200, next);
  for (const { path: watched, response: to } of watches) {
    if (watched === REGISTRATIONS) to.write(event('MODIFIED', next));
  }
}

/** A JSON merge patch (RFC 7386). */
function merged(stored: unknown, wanted: unknown): unknown {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) return wanted;
  const result = { ...(typeof stored === 'object' ? stored : {}) };
  for (const [name, value] of Object.entries(wanted)) {
    if (value === null) Reflect.deleteProperty(result, name);
    else Reflect.set(result, name, merged(Reflect.get(result, name), value));
  }
  return result;
}

const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += piece;
  return text;
}

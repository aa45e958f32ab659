// The campaign's own eye on the API server: lists and watches the pods it made, and lists anew whenever the watch ends,
// until it is closed. Told of everything with the time of arrival; judges nothing and shares nothing with the operator.

import { readFileSync } from 'node:fs';
import { Client, type Dispatcher } from 'undici';
import { z } from 'zod';
import { nowMs, pause } from '../monotonic.ts';
import type { ShownPod } from './pod-truth.ts';

/** On every pod that the campaign makes. */
export const CAMPAIGN_LABEL = 'rollcall-faults';
export const VERSION_LABEL = 'app.kubernetes.io/version';
export const READY_ANNOTATION = 'rollcall.dev/demo-ready';
const AGAIN_MS = 100;
/** A paused server answers nothing, and its connections live on. */
const ANSWER_MS = 5_000;

export type ApiAccess = { readonly url: string; readonly caFile: string; readonly token: string };

export type PodEyes = {
  readonly shown: (pod: ShownPod, atMs: number) => void;
  readonly disappeared: (uid: string, atMs: number) => void;
  /** The UIDs of a complete list. */
  readonly listed: (uids: ReadonlySet<string>, atMs: number) => void;
};

const podSchema = z.object({
  metadata: z.object({
    uid: z.string(),
    resourceVersion: z.string(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  status: z
    .object({
      podIP: z.string().optional(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
    })
    .default({ conditions: [] }),
});
const listSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }), items: z.array(podSchema) });
const eventSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
});

export class PodWatch {
  readonly #access: ApiAccess;
  readonly #eyes: PodEyes;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;

  constructor(access: ApiAccess, eyes: PodEyes) {
    this.#access = access;
    this.#eyes = eyes;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const { url, caFile } = this.#access;
      const client = new Client(url, {
        connect: { ca: readFileSync(caFile) },
        allowH2: false,
        headersTimeout: ANSWER_MS,
        bodyTimeout: 0,
      });
      try {
        const resourceVersion = await this.#list(client);
        await this.#watch(client, resourceVersion);
      } catch {
        // Away: asked again until it is back.
      }
      await client.destroy();
      if (!signal.aborted) await pause(AGAIN_MS);
    }
  }

  async #list(client: Client): Promise<string> {
    const { body, statusCode } = await client.request(this.#get(`/api/v1/pods?labelSelector=${CAMPAIGN_LABEL}`));
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`the list was answered ${statusCode}`);
    const { metadata, items } = listSchema.parse(JSON.parse(text));
    const atMs = nowMs();
    for (const item of items) this.#eyes.shown(shownOf(item), atMs);
    this.#eyes.listed(new Set(items.map((item) => item.metadata.uid)), atMs);
    return metadata.resourceVersion;
  }

  async #watch(client: Client, resourceVersion: string): Promise<void> {
    const query = `watch=1&labelSelector=${CAMPAIGN_LABEL}&resourceVersion=${resourceVersion}&timeoutSeconds=3600`;
    const { body, statusCode } = await client.request(this.#get(`/api/v1/pods?${query}`));
    if (statusCode !== 200) {
      await body.dump();
      throw new Error(`the watch was answered ${statusCode}`);
    }
    let rest = '';
    body.setEncoding('utf8');
    for await (const chunk of body) {
      const atMs = nowMs();
      const lines = `${rest}${String(chunk)}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#see(line, atMs);
    }
  }

  #see(line: string, atMs: number): void {
    const { type, object } = eventSchema.parse(JSON.parse(line));
    if (type === 'BOOKMARK') return;
    if (type === 'ERROR') throw new Error(`the watch answered ${line}`);
    const pod = podSchema.parse(object);
    if (type === 'DELETED') this.#eyes.disappeared(pod.metadata.uid, atMs);
    else this.#eyes.shown(shownOf(pod), atMs);
  }

  #get(path: string): Dispatcher.RequestOptions {
    const headers = { authorization: `Bearer ${this.#access.token}`, accept: 'application/json' };
    return { method: 'GET', path, headers, signal: this.#stopped.signal };
  }
}

/** @param object as the API server answers it */
export const shownPod = (object: unknown): ShownPod => shownOf(podSchema.parse(object));

const shownOf = ({ metadata, status }: z.infer<typeof podSchema>): ShownPod => ({
  uid: metadata.uid,
  // A pod that is being deleted counts as not Ready, whatever its condition says, and so does one that nothing selects.
  ready:
    metadata.deletionTimestamp === undefined &&
    metadata.labels['app'] !== undefined &&
    status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
  doomed: metadata.deletionTimestamp !== undefined || metadata.annotations[READY_ANNOTATION] === 'false',
  version: metadata.labels[VERSION_LABEL] ?? '',
  ip: status.podIP,
});

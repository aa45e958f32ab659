/**
 * What the API server says about the demo's pods and when it said so: a watch of the demo's own, on its monotonic clock.
 * The operator's view plays no part in it. It lasts a day and is not repaired: a watch that breaks ends the demo.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { ControlPlane } from '../control-plane/control-plane.ts';

export type Pod = {
  readonly uid: string;
  readonly name: string;
  /** By label: the Deployment that it is of. */
  readonly app: string;
  /** Ready, and nobody deletes it. */
  readonly ready: boolean;
  /** Arrival (`performance.now()`) of the event that first said Ready, this time. */
  readonly readyAtMs: number | undefined;
  /** Arrival of the event that first said that it is Ready no more, by itself or because it is being deleted. */
  readonly unreadyAtMs: number | undefined;
  /** When it left the API; it is remembered for a while. */
  readonly goneAtMs: number | undefined;
};

const DAY_SECONDS = 86_400;
/** Longer than any key outlives its pod. */
const REMEMBER_MS = 120_000;

const eventSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
});
const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    uid: z.string(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) }),
});

export class PodWatch {
  readonly #pods = new Map<string, Pod>();

  /** Resolves when the watch stands. `onBroken` is told if it ends before the signal says so. */
  static async open(
    { url, caFile, adminToken }: ControlPlane,
    namespace: string,
    onBroken: (error: Error) => void,
    signal: AbortSignal,
  ): Promise<PodWatch> {
    const agent = new Agent({ connect: { ca: readFileSync(caFile) }, bodyTimeout: 0 });
    const query = `watch=1&resourceVersion=0&allowWatchBookmarks=true&timeoutSeconds=${DAY_SECONDS}`;
    const { statusCode, body } = await request(`${url}/api/v1/namespaces/${namespace}/pods?${query}`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${adminToken}` },
      signal,
    });
    if (statusCode !== 200) throw new Error(`watching pods: the API server answered ${statusCode}`);
    const watch = new PodWatch();
    const broken = (cause?: unknown) => {
      if (!signal.aborted) onBroken(new Error("the demo's own watch of pods ended", { cause }));
    };
    void watch.#follow(body).then(() => broken(), broken);
    return watch;
  }

  pod(uid: string): Pod | undefined {
    return this.#pods.get(uid);
  }

  /** Those that are Ready, of one Deployment or of all, by name. */
  ready(app?: string): readonly Pod[] {
    const found = [...this.#pods.values()].filter((pod) => pod.ready && (app === undefined || pod.app === app));
    return found.toSorted((a, b) => a.name.localeCompare(b.name));
  }

  async #follow(body: NodeJS.ReadableStream): Promise<void> {
    for await (const line of createInterface({ input: body })) this.#see(line, performance.now());
  }

  #see(line: string, atMs: number): void {
    const { type, object } = eventSchema.parse(JSON.parse(line));
    if (type === 'BOOKMARK') return;
    if (type === 'ERROR') throw new Error(`the watch answered ${line.slice(0, 256)}`);
    const { metadata, status } = podSchema.parse(object);
    const before = this.#pods.get(metadata.uid);
    const deleted = type === 'DELETED';
    const conditionTrue = status.conditions.some(
      (condition) => condition.type === 'Ready' && condition.status === 'True',
    );
    const ready = conditionTrue && metadata.deletionTimestamp === undefined && !deleted;
    const wasReady = before?.ready ?? false;
    this.#pods.set(metadata.uid, {
      uid: metadata.uid,
      name: metadata.name,
      app: metadata.labels['app.kubernetes.io/name'] ?? metadata.labels['app'] ?? '',
      ready,
      readyAtMs: ready && !wasReady ? atMs : before?.readyAtMs,
      unreadyAtMs: wasReady && !ready ? atMs : before?.unreadyAtMs,
      goneAtMs: deleted ? atMs : undefined,
    });
    for (const { uid, goneAtMs } of this.#pods.values()) {
      if (goneAtMs !== undefined && atMs - goneAtMs > REMEMBER_MS) this.#pods.delete(uid);
    }
  }
}

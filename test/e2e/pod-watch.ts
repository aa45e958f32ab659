// What the API server says about the test's pods, and when it said so: a watch of the test's own, on the test's monotonic
// clock. The operator's view plays no part in it. A watch that breaks fails the run: with it the causes would be guesses.

import { z } from 'zod';
import type { KubeApi } from './kube-api.ts';

export type PodSighting = {
  /** Arrival of the event, `performance.now()`. */
  readonly atMs: number;
  readonly name: string;
  readonly uid: string;
  readonly ready: boolean;
  readonly deleting: boolean;
  /** The object is gone from the API. */
  readonly removed: boolean;
  readonly node: string | undefined;
  readonly ip: string | undefined;
  /** `containerd://...` of the running container; absent while there is none. */
  readonly containerId: string | undefined;
};

/** A time in which a pod that had been Ready was not; `toMs` is absent while it lasts. */
export type Spell = { readonly fromMs: number; readonly toMs: number | undefined };

const eventSchema = z.object({
  type: z.string(),
  object: z.object({
    metadata: z.object({
      name: z.string().default(''),
      uid: z.string().default(''),
      deletionTimestamp: z.string().optional(),
    }),
    spec: z.object({ nodeName: z.string().optional() }).optional(),
    status: z
      .object({
        podIP: z.string().optional(),
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional(),
        containerStatuses: z
          .array(
            z.object({
              containerID: z.string().optional(),
              state: z.object({ running: z.object({}).optional() }).optional(),
            }),
          )
          .optional(),
      })
      .optional(),
  }),
});

export class PodWatch {
  readonly #sightings: PodSighting[] = [];
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #broken: unknown;

  constructor(api: KubeApi, namespace: string) {
    const query = 'watch=1&resourceVersion=0&timeoutSeconds=3600';
    this.#running = api
      .watch(`/api/v1/namespaces/${namespace}/pods?${query}`, this.#abort.signal, (line) => this.#see(line))
      .then(() => Promise.reject(new Error('the API server ended it')))
      .catch((error: unknown) => {
        if (!this.#abort.signal.aborted) this.#broken = error;
      });
  }

  /** The last sighting of every pod that exists, in the order of their first. */
  present(): readonly PodSighting[] {
    const last = new Map<string, PodSighting>();
    for (const sighting of this.#all()) last.set(sighting.uid, sighting);
    return [...last.values()].filter(({ removed }) => !removed);
  }

  of(uid: string): readonly PodSighting[] {
    return this.#all().filter((sighting) => sighting.uid === uid);
  }

  uids(): ReadonlySet<string> {
    return new Set(this.#all().map(({ uid }) => uid));
  }

  /** From the first event that says not Ready (or gone, or being deleted) to the first that says Ready again. */
  spells(uid: string): readonly Spell[] {
    const spells: { fromMs: number; toMs: number | undefined }[] = [];
    let wasReady = false;
    for (const { atMs, ready, deleting, removed } of this.of(uid)) {
      const up = ready && !deleting && !removed;
      const current = spells.at(-1);
      if (!up && wasReady) spells.push({ fromMs: atMs, toMs: undefined });
      else if (up && current !== undefined && current.toMs === undefined) current.toMs = atMs;
      wasReady = up;
    }
    return spells;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  #all(): readonly PodSighting[] {
    if (this.#broken !== undefined) throw new Error('the watch of the test broke', { cause: this.#broken });
    return this.#sightings;
  }

  #see(line: unknown): void {
    const atMs = performance.now();
    const { type, object } = eventSchema.parse(line);
    if (type === 'BOOKMARK') return;
    if (type === 'ERROR') throw new Error(`the watch answered ${JSON.stringify(line)}`);
    const container = object.status?.containerStatuses?.[0];
    this.#sightings.push({
      atMs,
      name: object.metadata.name,
      uid: object.metadata.uid,
      ready: object.status?.conditions?.some((item) => item.type === 'Ready' && item.status === 'True') ?? false,
      deleting: object.metadata.deletionTimestamp !== undefined,
      removed: type === 'DELETED',
      node: object.spec?.nodeName,
      ip: object.status?.podIP,
      containerId: container?.state?.running === undefined ? undefined : container.containerID,
    });
  }
}

// The same views as the operator's, from one list of each kind: what a command needs that answers once and ends. Where
// whoever asks may not list a kind in all namespaces it lists one; what it could not read it says.

import type { Clock } from '../clock.ts';
import type { View, ViewObject } from '../controllers/view.ts';
import type { Defaults } from '../domain/settings.ts';
import type { Log } from '../log.ts';
import { ApiError, type ApiTransport } from './api-transport.ts';
import { listInPages } from './first-list.ts';
import { collectionPath, type Resource } from './resources.ts';
import { type ClusterViews, clusterViews, sourcesOf } from './watch-cluster.ts';

export type ListClusterOptions = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly log: Log;
  readonly annotationPrefix: string;
  readonly namespaces: readonly string[];
  readonly excludeNamespaces: readonly string[];
  readonly defaults: Defaults;
  /** Listed alone where listing all namespaces is not allowed. */
  readonly namespace?: string;
  readonly signal: AbortSignal;
};

/** A kind that was not read as the operator reads it. */
export type Gap = {
  /** Plural, as in the path. */
  readonly resource: string;
  /** `narrowed`: of one namespace alone; `denied`: not at all; `missing`: the server does not know the kind. */
  readonly kind: 'narrowed' | 'denied' | 'missing';
};

type ListedSource = { readonly path: string; readonly fieldSelector?: string };

/** @throws ApiError when the server does not answer */
export const listCluster = async (
  options: ListClusterOptions,
): Promise<{ readonly views: ClusterViews; readonly gaps: readonly Gap[] }> => {
  const lists: Promise<Gap | undefined>[] = [];
  const views = clusterViews(options, (resource, trim, view) => {
    lists.push(listInto(options, resource, trim, view));
  });
  const gaps = await Promise.all(lists);
  return { views, gaps: gaps.flatMap((gap) => gap ?? []) };
};

/** Where a CRD is new, and under load, the API server refuses for a while and says for how long. */
const TRIES = 4;
const PATIENCE_MS = 3_000;

const patiently = async (
  { clock, signal }: Pick<ListClusterOptions, 'clock' | 'signal'>,
  ask: () => Promise<void>,
): Promise<void> => {
  for (let tried = 1; ; tried += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError && error.kind === 'tooMany') || tried === TRIES) throw error;
      await clock.sleep(Math.min(error.retryAfterMs ?? 0, PATIENCE_MS), signal);
    }
  }
};

const listInto = async <T extends ViewObject>(
  options: ListClusterOptions,
  resource: Resource,
  trim: (raw: unknown) => T | undefined,
  view: View<T>,
): Promise<Gap | undefined> => {
  const source = view.addSource();
  const list = async ({ path, fieldSelector }: ListedSource) => {
    const { objects } = await listInPages({
      transport: options.transport,
      clock: options.clock,
      path,
      selectors: fieldSelector === undefined ? {} : { fieldSelector },
      take: (item) => {
        const object = trim(item);
        return object === undefined ? undefined : ([object.key, object] as const);
      },
      signal: options.signal,
    });
    for (const object of objects.values()) source.put(object);
  };
  const attempt = async (sources: readonly ListedSource[]): Promise<'denied' | 'missing' | undefined> => {
    try {
      for (const one of sources) await patiently(options, () => list(one));
      return undefined;
    } catch (error) {
      // 401 says nothing about rights: nobody knows who asks.
      if (error instanceof ApiError && error.status === 403) return 'denied';
      if (error instanceof ApiError && error.kind === 'notFound') return 'missing';
      throw error;
    }
  };
  const { namespace } = options;
  const all = await attempt(sourcesOf(resource, options));
  const narrower =
    resource.namespaced && resource.readIn === undefined && namespace !== undefined
      ? [{ path: collectionPath(resource, namespace) }]
      : [];
  const left = all === 'denied' && narrower.length > 0 ? ((await attempt(narrower)) ?? 'narrowed') : all;
  source.synced = true;
  // Right as of itself: it never grows old.
  source.prove(Number.MAX_VALUE);
  return left === undefined ? undefined : { resource: resource.plural, kind: left };
};

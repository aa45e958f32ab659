// The paged LIST: the first one, for API servers that refuse to stream the initial objects or do not do it when asked, and
// the pages of which a relist is made. Builds what it finds aside; does not touch the view.

import type { Clock } from '../clock.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { ApiError, type ApiTransport, field, type Query, successful, textField } from './api-transport.ts';
import { Breather } from './watch-decoder.ts';

export type Listed<T> = { readonly objects: ReadonlyMap<ObjectKey, T>; readonly resourceVersion: string };

export type Page = {
  readonly items: readonly unknown[];
  /** As of which all pages of one list are: the first one has it already. */
  readonly resourceVersion: string;
};

export type PagedList = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly path: string;
  readonly selectors: Query;
  /** What a page should weigh; it is parsed in one go, and 1.5 MB, the default, take about 15 ms. */
  readonly pageBytes?: number;
  readonly signal: AbortSignal;
};

const PAGE_LIMIT_MAX = 500;
const PAGE_LIMIT_MIN = 20;
const PAGE_BYTES = 1_500_000;
const PAGE_TIMEOUT_MS = 60_000;
/** A list whose continue tokens keep expiring is too slow for its server; then the backoff takes over. */
const RESTARTS_MAX = 3;

/** Everything there is, in pages, as of one version. @throws ApiError */
export async function listInPages<T>(
  options: PagedList & {
    /** Called with each item; returns its key and what to keep, undefined for nothing. */
    readonly take: (item: unknown) => readonly [key: ObjectKey, object: T] | undefined;
  },
): Promise<Listed<T>> {
  for (let restarts = 0; ; restarts++) {
    try {
      return await listOnce(options);
    } catch (error) {
      const expired = error instanceof ApiError && error.kind === 'gone';
      if (!expired || restarts >= RESTARTS_MAX) throw error;
    }
  }
}

async function listOnce<T>(options: Parameters<typeof listInPages<T>>[0]): Promise<Listed<T>> {
  const objects = new Map<ObjectKey, T>();
  const breather = new Breather(options.clock);
  let version = '';
  for await (const { items, resourceVersion } of pagesOf(options)) {
    version = resourceVersion;
    for (const item of items) {
      const entry = options.take(item);
      if (entry !== undefined) objects.set(entry[0], entry[1]);
      if (breather.due) await breather.rest();
    }
  }
  return { objects, resourceVersion: version };
}

/** The pages of one consistent list, each asked for when the one before is done with. @throws ApiError */
export async function* pagesOf(list: PagedList): AsyncGenerator<Page> {
  const { transport, clock, path, selectors, pageBytes = PAGE_BYTES, signal } = list;
  // The first page is small: the size of an object is not known yet.
  let limit = 100;
  let token = '';
  do {
    const response = successful(
      await transport.request({
        method: 'GET',
        path,
        query: { ...selectors, limit, ...(token === '' ? { resourceVersion: '' } : { continue: token }) },
        timeoutMs: PAGE_TIMEOUT_MS,
        signal,
      }),
    );
    await clock.yield();
    const found = field(response.body, 'items');
    const resourceVersion = textField(response.body, 'metadata', 'resourceVersion');
    if (resourceVersion === undefined) throw new ApiError('transient', `${path}: a list without resourceVersion`);
    const items: readonly unknown[] = Array.isArray(found) ? found : [];
    yield { items, resourceVersion };
    token = textField(response.body, 'metadata', 'continue') ?? '';
    const bytesPerItem = response.bodyBytes / Math.max(1, items.length);
    limit = Math.round(Math.min(PAGE_LIMIT_MAX, Math.max(PAGE_LIMIT_MIN, pageBytes / bytesPerItem)));
  } while (token !== '');
}

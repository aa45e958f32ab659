// The paged LIST, for API servers that refuse to stream the initial objects or do not do it when asked. Builds what it
// finds aside; does not touch the view.

import type { Clock } from '../clock.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { ApiError, type ApiTransport, field, type Query, successful, textField } from './api-transport.ts';
import { Breather } from './watch-decoder.ts';

export type Listed<T> = { readonly objects: ReadonlyMap<ObjectKey, T>; readonly resourceVersion: string };

const PAGE_LIMIT_MAX = 500;
const PAGE_LIMIT_MIN = 20;
/** A page is parsed in one go: 1.5 MB take about 15 ms. */
const PAGE_BYTES_WANTED = 1_500_000;
const PAGE_TIMEOUT_MS = 60_000;
/** A list whose continue tokens keep expiring is too slow for its server; then the backoff takes over. */
const RESTARTS_MAX = 3;

/** Everything there is, in pages, as of one version. @throws ApiError */
export async function listInPages<T>(options: {
  transport: ApiTransport;
  clock: Clock;
  path: string;
  selectors: Query;
  /** Called with each item; returns its key and what to keep, undefined for nothing. */
  take: (item: unknown) => readonly [key: ObjectKey, object: T] | undefined;
  signal: AbortSignal;
}): Promise<Listed<T>> {
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
  const { transport, clock, path, selectors, take, signal } = options;
  const objects = new Map<ObjectKey, T>();
  const breather = new Breather(clock);
  // The first page is small: the size of an object is not known yet.
  let limit = 100;
  let token = '';
  for (;;) {
    const response = successful(
      await transport.request({
        method: 'GET',
        path,
        query: { ...selectors, limit, ...(token === '' ? { resourceVersion: '' } : { continue: token }) },
        timeoutMs: PAGE_TIMEOUT_MS,
        signal,
      }),
    );
    await breather.rest();
    const items = field(response.body, 'items');
    const resourceVersion = textField(response.body, 'metadata', 'resourceVersion');
    if (resourceVersion === undefined) throw new ApiError('transient', `${path}: a list without resourceVersion`);
    const found: readonly unknown[] = Array.isArray(items) ? items : [];
    for (const item of found) {
      const entry = take(item);
      if (entry !== undefined) objects.set(entry[0], entry[1]);
      if (breather.due) await breather.rest();
    }
    token = textField(response.body, 'metadata', 'continue') ?? '';
    if (token === '') return { objects, resourceVersion };
    const bytesPerItem = response.bodyBytes / Math.max(1, found.length);
    limit = Math.round(Math.min(PAGE_LIMIT_MAX, Math.max(PAGE_LIMIT_MIN, PAGE_BYTES_WANTED / bytesPerItem)));
  }
}

// Proves, while a watch says nothing, that it has nothing to say. Resource versions are counted for the whole cluster,
// so a newer list version alone tells nothing about our resource; and an API server that answers GETs may still have
// lost our stream, or its own (F11). So the proof is made of two answers:
//
// 1. `GET ?limit=1` without a version is a consistent read: it returns the version R that the cluster had reached.
//    When our stream has been at R already, every change up to R has come to us: proven. When it had been beyond R before
//    we asked, the cluster was restored from a backup, and no watch says so: one from a version that is still to come is
//    opened, and tells nothing until the cluster gets there (kube-apiserver 1.36): `rewound`.
// 2. Else a second, short watch is opened from where our stream stands. The consistent read has made the server's
//    watch cache catch up with R, so within two seconds (2 s before its timeout) the short watch says either
//      - a bookmark at R or later and no event: nothing happened to our resource up to there: proven; or
//      - an event: our stream must bring it as well within a moment, or it is behind: `behind`; or
//      - nothing: watches are silent: no proof, and the view grows old.
//
// The short watch takes no notice of a selector that only leaves out namespaces: events of those say as well how far the
// server has come. (Where it must be filtered, a server that has just left out an event sends no bookmark for it.)
//
// API servers before 1.34 may send no bookmark here, as a limited read does not move their watch cache. So until the
// server has shown once that it does send one, silence to the end of the short watch counts as proof as well, but not for
// long: a server that has lost its own watch is as silent. A kind that is never quiet is never asked about, so it is told
// by the others (`ServerTraits`) what the server does.

import type { Clock } from '../clock.ts';
import { ApiError, type ApiTransport, type Query, successful, textField } from './api-transport.ts';
import { LinkedAbort } from './linked-abort.ts';
import { compareResourceVersions, reaches } from './resource-version.ts';
import { decodeWatch } from './watch-decoder.ts';

export type Freshness =
  /** Everything that happened up to `resourceVersion`, which was current at `asOfMs`, is known to the caller. */
  | { readonly kind: 'proven'; readonly asOfMs: number; readonly resourceVersion: string }
  /** There is an event, at `resourceVersion`, that the caller's stream had not brought when asked. */
  | { readonly kind: 'behind'; readonly resourceVersion: string }
  /** The server answers, but its watches say nothing. */
  | { readonly kind: 'silent' }
  /** The cluster has gone back behind the caller's place: only a list can tell what is there. */
  | { readonly kind: 'rewound' }
  /** Watches have said nothing for as long as that may be believed: only a list can tell. */
  | { readonly kind: 'doubtful' }
  /** The server does not answer, or refuses. */
  | { readonly kind: 'unanswered'; readonly error: ApiError };

/** What the watches of one API server learned of it, for all of them. */
export type ServerTraits = {
  /** A short watch is told by a bookmark how far the server has come, though nothing happened to what it watches. */
  sendsBookmarks: boolean;
};

/** The bookmark comes 2 s before the timeout, on a tick of one second. */
const PROBE_TIMEOUT_SECONDS = 3;
const PROBE_PATIENCE_MS = 5_000;
const GET_TIMEOUT_MS = 4_000;
const SILENCE_TRUSTED_MS = 40_000;

export class FreshnessProbe {
  readonly #transport: ApiTransport;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #selectors: Query;
  readonly #excluded: ReadonlySet<string>;
  readonly #traits: ServerTraits;
  /** All events that move the server's watch cache of this kind come to the short watch. */
  readonly #seesAll: boolean;
  #bookmarksSeen = false;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Where the caller's stream stood when silence was first taken for proof, and when that was. */
  #trusted: { readonly place: string; readonly sinceMs: number } | undefined;

  constructor(options: {
    readonly transport: ApiTransport;
    readonly clock: Clock;
    readonly path: string;
    readonly selectors: Query;
    /** The path is that of one namespace. */
    readonly isNamespaced: boolean;
    readonly traits: ServerTraits;
  }) {
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#path = options.path;
    const excluded = excludedNamespaces(options.selectors);
    this.#selectors = excluded === undefined ? options.selectors : {};
    this.#excluded = excluded ?? new Set();
    this.#traits = options.traits;
    this.#seesAll = !options.isNamespaced && Object.keys(this.#selectors).length === 0;
  }

  /** The server asked not to be asked again before this monotonic ms, whichever stream it is about. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** `standsAt` is asked whenever the place of the caller's stream matters, as the stream may move meanwhile. */
  async probe(standsAt: () => string, signal: AbortSignal): Promise<Freshness> {
    try {
      const asOfMs = this.#clock.monotonicMs();
      const stood = standsAt();
      const current = await this.#currentVersion(signal);
      if ((compareResourceVersions(stood, current) ?? 0) > 0) return { kind: 'rewound' };
      if (reaches(standsAt(), current)) return { kind: 'proven', asOfMs, resourceVersion: current };
      return await this.#ask(standsAt(), current, asOfMs, signal);
    } catch (cause) {
      const error = ApiError.fromFailure('freshness probe', cause);
      // The stream stands where the server's memory no longer reaches: whatever it missed, it will never bring.
      if (error.kind === 'gone') return { kind: 'silent' };
      if (error.retryAfterMs !== undefined) this.#notBeforeMs = this.#clock.monotonicMs() + error.retryAfterMs;
      return { kind: 'unanswered', error };
    }
  }

  async #currentVersion(signal: AbortSignal): Promise<string> {
    const response = await this.#transport.request({
      method: 'GET',
      path: this.#path,
      query: { ...this.#selectors, limit: 1 },
      timeoutMs: GET_TIMEOUT_MS,
      signal,
    });
    const version = textField(successful(response).body, 'metadata', 'resourceVersion');
    if (version === undefined) throw new ApiError('transient', 'a list without resourceVersion');
    return version;
  }

  async #ask(from: string, current: string, asOfMs: number, signal: AbortSignal): Promise<Freshness> {
    const stop = new LinkedAbort(signal);
    const patience = this.#clock.sleep(PROBE_PATIENCE_MS, stop.signal).then(() => stop.abort());
    try {
      const stream = await this.#transport.stream({
        path: this.#path,
        query: {
          ...this.#selectors,
          watch: 1,
          resourceVersion: from,
          allowWatchBookmarks: true,
          timeoutSeconds: PROBE_TIMEOUT_SECONDS,
        },
        timeoutMs: GET_TIMEOUT_MS,
        shared: true,
        signal: stop.signal,
      });
      if (stream.status !== 200) throw ApiError.fromStatus(stream.status, stream.headers, stream.errorBody);
      const openedAtMs = this.#clock.monotonicMs();
      // Read to the end even when the answer is known: a stream that is cut costs its connection.
      let answer: Freshness | undefined;
      let isQuiet = true;
      for await (const event of decodeWatch(stream.body, this.#clock)) {
        if (answer !== undefined) continue;
        const { resourceVersion } = event;
        const isCurrent = reaches(resourceVersion, current);
        if (event.kind === 'bookmark') {
          if (isCurrent) this.#learn(isQuiet);
        } else if (!this.#excluded.has(textField(event.object, 'metadata', 'namespace') ?? '')) {
          answer = { kind: 'behind', resourceVersion };
          continue;
        } else isQuiet = false;
        if (isCurrent) answer = { kind: 'proven', asOfMs, resourceVersion };
      }
      return answer ?? this.#judgeSilence(asOfMs, from, this.#clock.monotonicMs() - openedAtMs);
    } finally {
      stop.abort();
      await patience;
    }
  }

  /** A bookmark said how far the server is; `isQuiet`: and no event had moved its cache, so the consistent read has. */
  #learn(isQuiet: boolean): void {
    this.#bookmarksSeen = true;
    if (isQuiet && this.#seesAll) this.#traits.sendsBookmarks = true;
  }

  #judgeSilence(asOfMs: number, from: string, livedMs: number): Freshness {
    const livedToItsEnd = livedMs >= (PROBE_TIMEOUT_SECONDS - 0.5) * 1_000 && livedMs < PROBE_PATIENCE_MS;
    if (!livedToItsEnd || this.#bookmarksSeen || this.#traits.sendsBookmarks) return { kind: 'silent' };
    if (this.#trusted?.place !== from) this.#trusted = { place: from, sinceMs: asOfMs };
    const trusts = asOfMs - this.#trusted.sinceMs < SILENCE_TRUSTED_MS;
    return trusts ? { kind: 'proven', asOfMs, resourceVersion: from } : { kind: 'doubtful' };
  }
}

/** The namespaces that a selector leaves out, when it does nothing else; undefined when it does. */
function excludedNamespaces(selectors: Query): ReadonlySet<string> | undefined {
  const { fieldSelector = '', ...others } = selectors;
  if (Object.keys(others).length > 0) return undefined;
  const terms = String(fieldSelector).split(',');
  const excluded = terms.map((term) => /^metadata\.namespace!=([^,=]+)$/.exec(term)?.[1]);
  return excluded.some((namespace) => namespace === undefined) ? undefined : new Set(excluded.map(String));
}

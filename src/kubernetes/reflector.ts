// Keeps one source of a view equal to what the API server has, for as long as the process lives. States:
//
//   listing   nothing is known, or what is known cannot be continued (410). The objects come as a stream (WatchList) or
//             in pages and are gathered aside, while the old view stays as it is. When all are there the view is made
//             equal to them, by UID -> live.
//   live      events and bookmarks move the place where the stream stands. Stream ends -> live again from that place.
//             The place is forgotten by the server, or the stream is silent while the server lives -> listing.
//   waiting   after a failure, until the backoff is over -> listing or live as before. It never gives up.
//
// Beside all this a slow relist looks whether the stream has told everything (`relist.ts`).
//
// What the objects mean is not known here: `trim` makes them small, and whoever reads the view decides.

import type { Clock, Random } from '../clock.ts';
import type { View, ViewObject } from '../controllers/view.ts';
import type { ViewSource } from '../controllers/view-source.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import type { Log } from '../log.ts';
import { ApiError, type ApiTransport, type Query, textField } from './api-transport.ts';
import { Backoff } from './backoff.ts';
import { Absence, judgeFailure } from './failure-policy.ts';
import { listInPages } from './first-list.ts';
import { FreshnessProbe, type ServerTraits } from './freshness.ts';
import { LinkedAbort } from './linked-abort.ts';
import { keepRelisting, type Touched } from './relist.ts';
import { compareResourceVersions, reaches } from './resource-version.ts';
import {
  type GivenUp,
  type GuardedStream,
  type GuardOptions,
  guardStream,
  NAMESPACED_LIMITS,
  STREAM_LIMITS,
  type StreamLimits,
} from './stream-guard.ts';
import { Breather, decodeWatch, type WatchEvent } from './watch-decoder.ts';

export type ReflectorCount =
  | 'events'
  | 'bookmarks'
  | 'lists'
  | 'connects'
  | 'failures'
  | 'trimFailures'
  | 'probes'
  | 'probesWithoutProof'
  | 'silentStreams'
  | 'relists'
  /** Objects that a relist found otherwise than the stream had told. */
  | 'drifted';

export type ReflectorMetrics = { count(what: ReflectorCount, resource: string, many: number): void };

export type ReflectorOptions<T extends ViewObject> = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly resource: {
    readonly path: string;
    readonly fieldSelector?: string;
    readonly labelSelector?: string;
    /** The objects are all of this namespace; absent: of any, or of none. */
    readonly namespace?: string;
    /** Somebody must define it, and may take that back: then it has no objects. Else "not found" is a failure like others. */
    readonly mayBeAbsent?: boolean;
    /** That the API server does not know it is no problem, once it is believed. */
    readonly optional?: boolean;
  };
  /** What to keep of an object: undefined treats it as absent. Its key must be `objectKey(namespace or '', name)`. */
  readonly trim: (raw: unknown) => T | undefined;
  readonly view: View<T>;
  readonly metrics?: ReflectorMetrics;
  readonly limits?: Partial<StreamLimits>;
  /** How often a list checks what the stream told, give or take a quarter. */
  readonly relistIntervalMs: number;
  /** Shared by all reflectors of one API server. */
  readonly traits?: ServerTraits;
  /**
   * Whether what answers has shown since then to be the API server, by something else than this resource: else it may be a
   * proxy that finds nothing. Absent: it has.
   */
  readonly isServing?: (sinceMs: number) => boolean;
  readonly signal: AbortSignal;
};

/** A stream that the server ends sooner than this after opening it is a failure, else an end in good order. */
const SHORT_LIFE_MS = 1_000;
/** Runs until the signal aborts. Never rejects: every failure is answered by waiting and trying again. */
export function reflect<T extends ViewObject>(options: ReflectorOptions<T>): Promise<void> {
  return new Reflector(options).run();
}

class Reflector<T extends ViewObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #source: ViewSource<T>;
  readonly #selectors: Query;
  readonly #backoff: Backoff;
  readonly #compactionBackoff: Backoff;
  readonly #guarded: Omit<GuardOptions, 'stream' | 'signal'>;
  /** Where our knowledge stands; undefined: list first. */
  #place: string | undefined;
  #listBy: 'stream' | 'pages' = 'stream';
  /** The server does not know WatchList; ask no more. */
  #streamRefused = false;
  #behindInARow = 0;
  readonly #absence = new Absence();
  /** The view has been emptied since the resource was last there. */
  #emptied = false;
  /** The failure that was logged, so that it is logged once. */
  #told: string | undefined;
  #lists = 0;
  /** What a relist that is under way must know of the stream. */
  #touched: Touched | undefined;

  constructor(options: ReflectorOptions<T>) {
    const { resource, transport, clock, random } = options;
    this.#options = options;
    this.#source = options.view.addSource(resource.namespace);
    this.#selectors = {
      ...(resource.fieldSelector === undefined ? {} : { fieldSelector: resource.fieldSelector }),
      ...(resource.labelSelector === undefined ? {} : { labelSelector: resource.labelSelector }),
    };
    this.#backoff = new Backoff(random);
    this.#compactionBackoff = new Backoff(random);
    this.#guarded = {
      clock,
      log: options.log,
      path: resource.path,
      limits: { ...STREAM_LIMITS, ...(resource.namespace === undefined ? {} : NAMESPACED_LIMITS), ...options.limits },
      probe: new FreshnessProbe({
        transport,
        clock,
        path: resource.path,
        selectors: this.#selectors,
        isNamespaced: resource.namespace !== undefined,
        traits: options.traits ?? { sendsBookmarks: false },
      }),
      source: this.#source,
      place: () => this.#place,
      proven: (atMs, place) => {
        // Nothing of ours happened up to there, so our place may move: the next question is the cheaper for it.
        if (this.#place !== undefined && reaches(place, this.#place)) this.#place = place;
        this.#prove(atMs);
      },
      count: (what) => this.#count(what),
    };
  }

  async run(): Promise<void> {
    await Promise.all([this.#keepWatching(), this.#keepRelisting()]);
  }

  #keepRelisting(): Promise<void> {
    const { transport, clock, random, log, resource, relistIntervalMs, signal } = this.#options;
    return keepRelisting<T>({
      pages: { transport, clock, path: resource.path, selectors: this.#selectors, signal },
      random,
      log,
      intervalMs: relistIntervalMs,
      source: this.#source,
      keyOf,
      trim: (item) => this.#trim(item),
      place: () => this.#place,
      lists: () => this.#lists,
      noteIn: (touched) => {
        this.#touched = touched;
      },
      count: (what, many) => this.#count(what, many),
    });
  }

  async #keepWatching(): Promise<void> {
    const { signal, clock } = this.#options;
    while (!signal.aborted) {
      try {
        if (this.#place === undefined && (this.#listBy === 'pages' || this.#streamRefused)) await this.#listInPages();
        await this.#stream();
      } catch (cause) {
        if (signal.aborted) return;
        await clock.sleep(await this.#failed(ApiError.fromFailure('watch', cause)), signal);
      }
    }
  }

  async #listInPages(): Promise<void> {
    const { transport, clock, resource, signal } = this.#options;
    const startedAtMs = clock.monotonicMs();
    const listed = await listInPages<T>({
      transport,
      clock,
      path: resource.path,
      selectors: this.#selectors,
      take: (item) => {
        const object = this.#trim(item);
        return object === undefined ? undefined : [object.key, object];
      },
      signal,
    });
    await this.#replace(listed.objects, listed.resourceVersion, startedAtMs, 'pages');
    this.#prove(startedAtMs);
    this.#listBy = 'stream';
  }

  /** Opens a stream where we stand, or at the beginning, and follows it to its end. */
  async #stream(): Promise<void> {
    const { signal, clock } = this.#options;
    const now = clock.monotonicMs();
    const stream: GuardedStream = {
      stop: new LinkedAbort(signal),
      openedAtMs: now,
      lastByteAtMs: now,
      live: this.#place !== undefined,
      givenUp: undefined,
      denial: undefined,
    };
    const stopped = stream.stop.signal;
    const guard = guardStream({ ...this.#guarded, stream, signal: stopped });
    try {
      await this.#follow(stream, stopped);
    } catch (error) {
      // A stream that we cut ourselves may end in any way.
      if (stream.givenUp === undefined && stream.denial === undefined) throw error;
    } finally {
      stream.stop.abort();
      await guard;
    }
    if (stream.denial !== undefined) throw stream.denial;
    if (stream.givenUp !== undefined) return this.#gaveUp(stream, stream.givenUp);
    if (signal.aborted) return;
    if (!stream.live) throw new ApiError('transient', 'the watch ended before the initial objects were complete');
    if (clock.monotonicMs() - stream.openedAtMs < SHORT_LIFE_MS)
      throw new ApiError('transient', 'the watch ended at once');
  }

  async #follow(stream: GuardedStream, signal: AbortSignal): Promise<void> {
    const { transport, clock, resource, random } = this.#options;
    this.#count('connects');
    const answer = await transport.stream({
      path: resource.path,
      query: {
        ...this.#selectors,
        watch: 1,
        allowWatchBookmarks: true,
        // Spread, so that thousands of watches do not come back in the same second.
        timeoutSeconds: 300 + Math.floor(random() * 300),
        ...(this.#place === undefined
          ? { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }
          : { resourceVersion: this.#place }),
      },
      signal,
    });
    if (answer.status !== 200) throw ApiError.fromStatus(answer.status, answer.headers, answer.errorBody);
    const gathered = new Map<ObjectKey, T>();
    const tapped = tap(answer.body, () => {
      stream.lastByteAtMs = clock.monotonicMs();
    });
    for await (const event of decodeWatch(tapped, clock)) {
      if (signal.aborted) return;
      if (stream.live) this.#live(event);
      else if (event.kind !== 'bookmark') this.#gather(event, gathered);
      else if (event.initialEventsEnd) {
        await this.#replace(gathered, event.resourceVersion, stream.openedAtMs, 'stream');
        gathered.clear();
        stream.live = true;
        stream.lastByteAtMs = clock.monotonicMs();
        this.#prove(clock.monotonicMs());
      }
    }
  }

  #gather(event: Exclude<WatchEvent, { kind: 'bookmark' }>, gathered: Map<ObjectKey, T>): void {
    this.#count('events');
    const key = keyOf(event.object);
    const object = event.kind === 'deleted' ? undefined : this.#trim(event.object);
    if (object === undefined) gathered.delete(key);
    else gathered.set(key, object);
  }

  #live(event: WatchEvent): void {
    this.#count(event.kind === 'bookmark' ? 'bookmarks' : 'events');
    // A line that comes twice must not bring back an older state.
    const order = this.#place === undefined ? undefined : compareResourceVersions(event.resourceVersion, this.#place);
    if (event.kind !== 'bookmark' && (order === undefined || order > 0)) this.#apply(event);
    if (order === undefined || order > 0) this.#place = event.resourceVersion;
    this.#prove(this.#options.clock.monotonicMs());
  }

  #apply(event: Exclude<WatchEvent, { kind: 'bookmark' }>): void {
    this.#touched?.set(keyOf(event.object), event.resourceVersion);
    if (event.kind === 'deleted') {
      this.#source.remove(keyOf(event.object), textField(event.object, 'metadata', 'uid'));
      return;
    }
    const object = this.#trim(event.object);
    if (object === undefined) this.#source.remove(keyOf(event.object));
    else this.#source.put(object);
  }

  async #replace(objects: ReadonlyMap<ObjectKey, T>, place: string, startedAtMs: number, by: string): Promise<void> {
    const { clock, log, resource } = this.#options;
    this.#count('lists');
    this.#lists++;
    const breather = new Breather(clock);
    for (const _ of this.#source.replace(objects, clock.monotonicMs())) {
      if (breather.due) await breather.rest();
    }
    this.#place = place;
    const first = !this.#source.synced;
    this.#source.synced = true;
    const ms = Math.round(clock.monotonicMs() - startedAtMs);
    log[first ? 'info' : 'debug']({ path: resource.path, objects: objects.size, by, ms }, 'listed');
    const held = this.#source.heldObjects.size;
    if (held > 0 && this.#source.unconfirmedSinceMs !== undefined) {
      const message = 'a list lacks so much that it is kept until another confirms it';
      log.error({ path: resource.path, lacking: held, listed: objects.size }, message);
    }
  }

  /** The view was right as of `atMs`: whatever ailed is over. */
  #prove(atMs: number): void {
    const { log, resource } = this.#options;
    this.#source.prove(atMs);
    this.#source.problem = undefined;
    this.#source.denied = false;
    this.#absence.refuted();
    this.#emptied = false;
    this.#behindInARow = 0;
    if (this.#told !== undefined) log.info({ path: resource.path }, 'watching again');
    this.#told = undefined;
  }

  #gaveUp(stream: GuardedStream, why: GivenUp): void {
    const { log, resource, clock } = this.#options;
    this.#count('silentStreams');
    const silentMs = Math.round(clock.monotonicMs() - stream.lastByteAtMs);
    // Where nothing changes at all there are no bookmarks either, so quiet is no illness.
    const isHealthy = why === 'quiet' || why === 'doubtful';
    log[isHealthy ? 'debug' : 'warn']({ path: resource.path, why, silentMs }, 'the watch is replaced');
    if (!isHealthy) this.#told ??= why;
    if (why === 'behind') this.#behindInARow++;
    // A stream that stays behind after it was replaced needs a list, and so does everything else but quiet.
    if ((why !== 'quiet' && why !== 'behind') || this.#behindInARow >= 2) {
      this.#place = undefined;
      this.#listBy = 'pages';
    }
  }

  /** Draws the consequences of a failure. Returns how long to wait. */
  async #failed(error: ApiError): Promise<number> {
    const { clock, resource, isServing } = this.#options;
    const now = clock.monotonicMs();
    this.#count('failures');
    const askedForInitialStream = this.#place === undefined && this.#listBy === 'stream' && !this.#streamRefused;
    const mayBeAbsent = resource.mayBeAbsent === true;
    const verdict = judgeFailure(error, resource.path, { askedForInitialStream, mayBeAbsent });
    if (verdict.denies === 'nothing') this.#absence.refuted();
    if (error.kind === 'denied') this.#source.denied = true;
    if (verdict.forgetsPlace) this.#place = undefined;
    if (verdict.refusesInitialStream) this.#streamRefused = true;
    const isDoneWithout = verdict.denies === 'existence' && this.#emptied && resource.optional === true;
    if (verdict.problem !== undefined && !isDoneWithout) this.#source.problem = verdict.problem;
    if (verdict.tell !== undefined) this.#tell(verdict.tell, error);
    if (verdict.denies === 'existence' && this.#absence.said(now, isServing)) await this.#empty(now);
    if (verdict.backoff === 'none') return 0;
    const backoff = verdict.backoff === 'compaction' ? this.#compactionBackoff : this.#backoff;
    return backoff.next(now, {
      retryAfterMs: error.retryAfterMs,
      ...(verdict.capMs === undefined ? {} : { capMs: verdict.capMs }),
    });
  }

  /**
   * A resource that does not exist has no objects: else those of a deleted CRD would live for ever. Under the brake, as
   * one of several API servers may have lost its way to the CRD: a real deletion is told by events, object by object.
   */
  async #empty(nowMs: number): Promise<void> {
    const { log, resource } = this.#options;
    if (!this.#emptied) {
      await this.#replace(new Map(), '', nowMs, 'absence');
      log.warn({ path: resource.path }, 'the API server has no such resource; going on as if there were no objects');
    } else for (const _ of this.#source.replace(new Map(), nowMs)) continue;
    this.#emptied = true;
    this.#place = undefined;
    this.#source.prove(nowMs);
    if (resource.optional === true) this.#source.problem = undefined;
  }

  /** What to keep of an object: when `trim` chokes on it, what was known of it. */
  #trim(raw: unknown): T | undefined {
    try {
      return this.#options.trim(raw);
    } catch (error) {
      this.#count('trimFailures');
      this.#options.log.warn({ object: keyOf(raw), error: String(error) }, 'an object could not be read');
      return this.#options.view.get(keyOf(raw));
    }
  }

  /** Once per illness, not per attempt. */
  #tell(level: 'warn' | 'error', error: ApiError): void {
    if (this.#told === error.kind) return;
    this.#told = error.kind;
    const { log, resource } = this.#options;
    log[level](
      { path: resource.path, kind: error.kind, status: error.status, error: error.message },
      'watch failed, retrying',
    );
  }

  #count(what: ReflectorCount, many = 1): void {
    this.#options.metrics?.count(what, this.#options.resource.path, many);
  }
}

const keyOf = (raw: unknown): ObjectKey =>
  objectKey(textField(raw, 'metadata', 'namespace') ?? '', textField(raw, 'metadata', 'name') ?? '');

async function* tap(body: AsyncIterable<Uint8Array>, onPiece: () => void): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    onPiece();
    yield piece;
  }
}

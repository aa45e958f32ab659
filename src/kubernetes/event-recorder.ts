// Sends Kubernetes Events (events.k8s.io/v1) in the background: repeats become a series, a talkative object is silenced,
// a full queue drops. Losing an event is allowed; blocking or failing the caller is not.

import type { Clock, Random } from '../clock.ts';
import type { EventNotice, EventSink } from '../controllers/cluster.ts';
import type { Log } from '../log.ts';
import { ApiError, type ApiTransport, successful } from './api-transport.ts';
import { microTime } from './micro-time.ts';
import { apiVersionOf, collectionPath, objectPath, resources } from './resources.ts';
import { SpamFilter } from './spam-filter.ts';

export type EventRecorderOptions = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The replica, as people know it (its pod's name). */
  readonly reportingInstance: string;
  readonly onDropped?: (why: 'queueFull' | 'spam' | 'refused') => void;
};

const REPORTING_CONTROLLER = 'rollcall.dev/operator';
const QUEUE_MAX = 1_000;
/** Of the API: events.k8s.io/v1 `note`, `reportingInstance`. */
const NOTE_BYTES_MAX = 1_024;
const INSTANCE_LENGTH_MAX = 128;
const NAME_LENGTH_MAX = 253;
/** A repeat within this belongs to the series. */
const SERIES_MS = 6 * 60_000;
/** Series remembered; more different events than this within six minutes, and the oldest start anew. */
const SERIES_MAX = 4_096;
/**
 * Nobody waits for an event, and everybody for what else the API server has to do: at most twenty a second, unless so many
 * wait that some would soon be dropped.
 */
const PAUSE_MS = 50;
const CROWD = 500;
const ATTEMPTS_MAX = 4;
const RETRY_MS = 1_000;
const RETRY_CAP_MS = 15_000;

/** One Event object of the cluster: made once, then counted up. */
type Series = {
  readonly id: string;
  readonly notice: EventNotice;
  readonly name: string;
  readonly firstWallMs: number;
  lastWallMs: number;
  lastAtMs: number;
  count: number;
  /** The count that the API server knows; 0 before the object is made. */
  sentCount: number;
};

export class EventRecorder implements EventSink {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  /** What must be sent, oldest first; a series stands here once however often it repeats meanwhile. */
  readonly #queue = new Set<Series>();
  readonly #spam: SpamFilter;
  #wake: () => void = () => {};

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#spam = new SpamFilter(options.clock);
  }

  emit(notice: EventNotice): void {
    const { clock, onDropped } = this.#options;
    if (!this.#spam.admits(notice.regarding.uid)) return onDropped?.('spam');
    const series = this.#seriesOf(notice);
    if (!this.#queue.has(series) && this.#queue.size >= QUEUE_MAX) return onDropped?.('queueFull');
    series.count++;
    series.lastAtMs = clock.monotonicMs();
    series.lastWallMs = clock.wallMs();
    this.#queue.add(series);
    this.#wake();
  }

  /** Sends until the signal aborts; what is queued then is lost. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const [series] = this.#queue;
      if (series === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#queue.delete(series);
      await this.#deliver(series, signal);
      if (this.#queue.size < CROWD) await this.#options.clock.sleep(PAUSE_MS, signal);
    }
  }

  /** Events not sent yet. */
  get queued(): number {
    return this.#queue.size;
  }

  async #deliver(series: Series, signal: AbortSignal): Promise<void> {
    const { clock, log, random, onDropped } = this.#options;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        return await this.#send(series, signal);
      } catch (cause) {
        const error = ApiError.fromFailure('event', cause);
        const passing = error.kind === 'transient' || error.kind === 'tooMany';
        if (!passing || attempt >= ATTEMPTS_MAX) {
          if (signal.aborted) return;
          onDropped?.('refused');
          log.debug({ reason: series.notice.reason, error: error.message }, 'an event was not recorded');
          // Not this one, but the server wants to hear of none.
          return clock.sleep(error.retryAfterMs ?? 0, signal);
        }
        const waitMs = Math.min(RETRY_CAP_MS, RETRY_MS * 2 ** (attempt - 1)) * random();
        await clock.sleep(Math.max(waitMs, error.retryAfterMs ?? 0), signal);
      }
    }
  }

  async #send(series: Series, signal: AbortSignal): Promise<void> {
    const { transport } = this.#options;
    const namespace = eventNamespace(series.notice);
    // The count may rise while the request is under way; then the series is queued again.
    const { count } = series;
    if (series.sentCount > 0) {
      const body = { series: { count, lastObservedTime: microTime(series.lastWallMs) } };
      const path = objectPath(resources.Event, namespace, series.name);
      const contentType = 'application/merge-patch+json';
      const patched = await transport.request({ method: 'PATCH', path, contentType, body, signal });
      // Events live for an hour; when this one is gone it is made anew.
      if (patched.status !== 404) {
        successful(patched);
        series.sentCount = count;
        return;
      }
    }
    const path = collectionPath(resources.Event, namespace);
    const created = await transport.request({ method: 'POST', path, body: this.#eventOf(series), signal });
    // Ours from an attempt whose answer was lost: nobody else makes up this name.
    if (created.status !== 409) successful(created);
    series.sentCount = count;
  }

  #eventOf(series: Series): object {
    const { notice, name, count, firstWallMs, lastWallMs } = series;
    return {
      apiVersion: apiVersionOf(resources.Event),
      kind: resources.Event.kind,
      metadata: { name, namespace: eventNamespace(notice) },
      eventTime: microTime(firstWallMs),
      reportingController: REPORTING_CONTROLLER,
      reportingInstance: this.#options.reportingInstance.slice(0, INSTANCE_LENGTH_MAX),
      action: notice.action,
      reason: notice.reason,
      type: notice.type,
      note: notice.note,
      regarding: notice.regarding,
      ...(notice.related === undefined ? {} : { related: notice.related }),
      ...(count < 2 ? {} : { series: { count, lastObservedTime: microTime(lastWallMs) } }),
    };
  }

  #seriesOf(given: EventNotice): Series {
    const { clock, random } = this.#options;
    const notice = { ...given, note: cutBytes(given.note, NOTE_BYTES_MAX) };
    const { regarding, related, type, reason, action, note } = notice;
    const id = JSON.stringify([regarding.uid, related?.uid ?? '', type, reason, action, note]);
    const now = clock.monotonicMs();
    const known = this.#series.get(id);
    if (known !== undefined && now - known.lastAtMs < SERIES_MS) return known;
    const wallMs = clock.wallMs();
    const unique = `${Math.floor(wallMs).toString(16)}${Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0')}`;
    const series: Series = {
      id,
      notice,
      name: `${regarding.name.slice(0, NAME_LENGTH_MAX - 1 - unique.length)}.${unique}`,
      firstWallMs: wallMs,
      lastWallMs: wallMs,
      lastAtMs: now,
      count: 0,
      sentCount: 0,
    };
    // Set anew so that the map's order is by age.
    this.#series.delete(id);
    this.#series.set(id, series);
    this.#forget(now);
    return series;
  }

  #forget(now: number): void {
    for (const series of this.#series.values()) {
      if (this.#series.size <= SERIES_MAX && now - series.lastAtMs < SERIES_MS) return;
      this.#series.delete(series.id);
    }
  }
}

/** Events about objects of the cluster live in `default`. */
const eventNamespace = ({ regarding }: EventNotice): string =>
  regarding.namespace === '' ? 'default' : regarding.namespace;

/** At most so many bytes of UTF-8, whole characters. */
function cutBytes(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax - 3;
  // Not within a character: continuation bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}…`;
}

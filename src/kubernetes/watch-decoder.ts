// Turns the bytes of a watch into events: one JSON.parse per line, with a breath for the event loop every few
// milliseconds. Judges only the frame (type, object); what an object means is `trim`'s business.

import type { Clock } from '../clock.ts';
import { ApiError, field, textField } from './api-transport.ts';
import { LineSplitter } from './line-splitter.ts';

export type WatchEvent =
  | { readonly kind: 'added' | 'modified' | 'deleted'; readonly resourceVersion: string; readonly object: unknown }
  | {
      readonly kind: 'bookmark';
      readonly resourceVersion: string;
      /** All objects that existed when the watch began have been sent. */
      readonly initialEventsEnd: boolean;
    };

/** Work longer than this in one go is felt by heartbeats and probes that share the event loop. */
const WORK_MS_MAX = 5;

/** Spreads long work over turns of the event loop. One per stream of work. */
export class Breather {
  readonly #clock: Clock;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  /** True when it is time to `await rest()`. */
  get due(): boolean {
    return this.#clock.monotonicMs() - this.#sinceMs >= WORK_MS_MAX;
  }

  async rest(): Promise<void> {
    await this.#clock.yield();
    this.#sinceMs = this.#clock.monotonicMs();
  }
}

/** The events of a watch, in order. Ends where the stream ends on a line's end. @throws ApiError of an ERROR event by
 * its code; `transient` for a line that is no event and for a stream that ends within a line */
export async function* decodeWatch(body: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<WatchEvent> {
  const splitter = new LineSplitter();
  const breather = new Breather(clock);
  for await (const piece of body) {
    for (const line of splitter.push(piece)) {
      yield parseLine(line);
      if (breather.due) await breather.rest();
    }
  }
  if (splitter.restBytes > 0) throw new ApiError('transient', 'the watch ended within a line');
}

function parseLine(line: Buffer): WatchEvent {
  const parsed = parseJson(withoutManagedFields(line)) ?? parseJson(line.toString('utf8'));
  if (parsed === undefined) throw new ApiError('transient', 'a line of the watch is no JSON');
  const object = field(parsed, 'object');
  const resourceVersion = textField(object, 'metadata', 'resourceVersion');
  const type = field(parsed, 'type');
  if (type === 'ERROR') throw errorOf(object);
  if (resourceVersion === undefined) throw new ApiError('transient', 'an event of the watch has no resourceVersion');
  switch (type) {
    case 'ADDED':
      return { kind: 'added', resourceVersion, object };
    case 'MODIFIED':
      return { kind: 'modified', resourceVersion, object };
    case 'DELETED':
      return { kind: 'deleted', resourceVersion, object };
    case 'BOOKMARK': {
      const end = field(object, 'metadata', 'annotations', 'k8s.io/initial-events-end') === 'true';
      return { kind: 'bookmark', resourceVersion, initialEventsEnd: end };
    }
    default:
      throw new ApiError('transient', 'an event of the watch has an unknown type');
  }
}

function errorOf(status: unknown): ApiError {
  const code = field(status, 'code');
  return ApiError.fromStatus(typeof code === 'number' ? code : 500, {}, status);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const MANAGED_FIELDS = Buffer.from(',"managedFields":[{');
const FIELDS_AND_METADATA_END = Buffer.from('}]}');
const SPEC = Buffer.from('},"spec":{');

/**
 * The line as text, without `metadata.managedFields`: a third to a half of a pod, wanted by nobody here, and parsing is
 * most of the cost of an event. Within a JSON string every quote has a backslash before it, so what is searched for can
 * only be structure; and managed fields hold no lists, so the first end of a list and its object is theirs. The API
 * server writes the kinds it knows in this order; of what looks different (custom resources) everything is parsed.
 */
function withoutManagedFields(line: Buffer): string {
  const start = line.indexOf(MANAGED_FIELDS);
  const end = start < 0 ? -1 : line.indexOf(FIELDS_AND_METADATA_END, start) + 2;
  const cuts = end >= 2 && SPEC.equals(line.subarray(end, end + SPEC.length));
  return cuts ? line.toString('utf8', 0, start) + line.toString('utf8', end) : line.toString('utf8');
}

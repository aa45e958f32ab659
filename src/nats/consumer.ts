// One push consumer of our own, in order or not at all: any gap, silence or lost link ends it, and its owner starts
// another. Not the library's ordered consumer: that one needs a minute to notice that the server lost it.
// What is read with it: `read-back.ts` (everything, once) and `follow.ts` (everything that comes).

import type { Msg } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import type { Clock } from '../clock.ts';
import { RegistryError, type StoredMessage } from '../writer/registry.ts';
import { askAgain } from './ask-again.ts';
import type { Connection } from './connection.ts';
import { callApi, refuse } from './jetstream-api.ts';
import { BITS_PER_SECOND_MAX } from './read-rate.ts';
import { fromDelivery } from './stored-message.ts';

export type ConsumerContext = {
  readonly connection: Connection;
  readonly stream: string;
  readonly clock: Clock;
};

export type Wanted = {
  readonly filters: readonly string[];
  /** At most and by default `BITS_PER_SECOND_MAX`. */
  readonly bitsPerSecond?: number;
};

export type ConsumerEvents = {
  readonly onMessage: (message: StoredMessage, pending: number) => void;
  /** Nothing left to deliver; the consumer has looked at the stream up to `lastRevision`. */
  readonly onIdle: (lastRevision: number) => void;
  /** Call `proceed` to let the server send more; until then it stops after its window is full. */
  readonly onFlowControl: (proceed: () => void) => void;
};

/** The server's smallest. The end of a read-back is noticed by a heartbeat, so this is its cost. */
const HEARTBEAT_MS = 100;
/** So long a silence, with heartbeats due all the time: the server or the consumer is gone. */
const SILENCE_MAX_MS = 2_000;
/**
 * Finding the last message of 150,000 subjects takes a server a while. But one that was chosen to do it may have been lost a
 * moment ago: under another name the choice is made anew.
 */
const CREATE_TIMEOUTS_MS = [3_000, 10_000];
/** While a cluster has no leader of its metadata nobody hears a request: it is sent again, for the same consumer. */
const CREATE_AGAIN_MS = 500;
/** The server removes by itself what we could not delete. */
const INACTIVE_THRESHOLD_MS = 10_000;
const NS_PER_MS = 1_000_000;
/**
 * Delivers the last message of every subject that matches and everything after, until the consumer is lost or the
 * signal aborts. @throws RegistryError when it cannot be created
 */
export async function consume(
  context: ConsumerContext,
  wanted: Wanted,
  signal: AbortSignal,
  events: ConsumerEvents,
): Promise<void> {
  let unanswered = new RegistryError('transient', 'no consumer could be created');
  for (const timeoutMs of CREATE_TIMEOUTS_MS) {
    const outcome = await attend(context, wanted, signal, events, timeoutMs);
    if (outcome === 'ended') return;
    unanswered = outcome;
  }
  throw unanswered;
}

/** One consumer, to its end; or why there is none, when nobody answered to its creation in time. */
async function attend(
  context: ConsumerContext,
  wanted: Wanted,
  signal: AbortSignal,
  events: ConsumerEvents,
  createTimeoutMs: number,
): Promise<RegistryError | 'ended'> {
  const { connection, stream, clock } = context;
  const link = connection.link();
  if (link === undefined) throw new RegistryError('transient', 'not connected to NATS');
  const name = `rollcall_${nuid.next()}`;
  const deliverSubject = `${connection.inboxPrefix()}.${name}`;
  const over = new AbortController();
  const ended = AbortSignal.any([signal, link.down, over.signal]);
  let received = 0;
  let heard = false;
  let failure: Error | undefined;

  const process = (raw: Msg) => {
    if (raw.subject === deliverSubject) return onStatus(raw);
    const delivery = fromDelivery(raw);
    if (delivery === undefined) return;
    if (delivery.deliverySequence !== received + 1) return over.abort();
    received++;
    events.onMessage(delivery.message, delivery.pending);
  };
  /** Idle heartbeats and requests for flow control come on the deliver subject itself, with status 100. */
  const onStatus = (raw: Msg) => {
    if (raw.reply) return events.onFlowControl(() => raw.respond());
    const stalled = raw.headers?.get('Nats-Consumer-Stalled');
    if (stalled) return events.onFlowControl(() => link.nc.publish(stalled));
    if (raw.headers?.code !== 100) return over.abort();
    if (Number(raw.headers.get('Nats-Last-Consumer')) !== received) return over.abort();
    events.onIdle(Number(raw.headers.get('Nats-Last-Stream')));
  };

  const subscription = connection.subscribe(link, deliverSubject, (raw) => {
    heard = true;
    try {
      process(raw);
    } catch (error) {
      // Thrown on, it would silently stop the library's reading of the socket.
      failure ??= error instanceof Error ? error : new Error('the handler failed', { cause: error });
      over.abort();
    }
  });
  try {
    const { filters } = wanted;
    const config = consumerConfig(name, wanted, deliverSubject);
    // One filter stands in the subject as well, where rights can be tied to it.
    const place = filters.length === 1 ? `${name}.${filters[0]}` : name;
    const endpoint = `CONSUMER.CREATE.${stream}.${place}`;
    const body = { stream_name: stream, action: 'create', config };
    const create = (until: AbortSignal) => callApi(connection, endpoint, body, until, createTimeoutMs);
    const asking = askAgain(create, { clock, everyMs: CREATE_AGAIN_MS, signal: ended });
    const answer = await asking.catch((error: unknown) => {
      if (error instanceof RegistryError && error.kind === 'transient' && !ended.aborted) return error;
      throw error;
    });
    if (answer instanceof RegistryError) return answer;
    if (answer.error !== undefined) refuse(answer.error, 'creating a consumer');
    while (!ended.aborted) {
      heard = false;
      await clock.sleep(SILENCE_MAX_MS, ended);
      if (!heard) over.abort();
    }
    if (failure !== undefined) throw failure;
    return 'ended';
  } finally {
    over.abort();
    subscription.unsubscribe();
    // Best effort: whoever is gone cannot be deleted, and the inactive threshold does the rest.
    callApi(connection, `CONSUMER.DELETE.${stream}.${name}`, undefined, link.down).catch(() => undefined);
  }
}

function consumerConfig(
  name: string,
  { filters, bitsPerSecond = BITS_PER_SECOND_MAX }: Wanted,
  deliverSubject: string,
) {
  return {
    name,
    ...(filters.length === 1 ? { filter_subject: filters[0] } : { filter_subjects: filters }),
    deliver_subject: deliverSubject,
    deliver_policy: 'last_per_subject',
    ack_policy: 'none',
    max_deliver: 1,
    flow_control: true,
    idle_heartbeat: HEARTBEAT_MS * NS_PER_MS,
    inactive_threshold: INACTIVE_THRESHOLD_MS * NS_PER_MS,
    num_replicas: 1,
    rate_limit_bps: bitsPerSecond,
    mem_storage: true,
  };
}

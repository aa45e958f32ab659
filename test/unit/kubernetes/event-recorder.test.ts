// Events: series, limits, retries, and that the caller never notices any of it.

import { afterEach, describe, expect, test } from 'vitest';
import type { EventNotice } from '../../../src/controllers/cluster.ts';
import { field, textField } from '../../../src/kubernetes/api-transport.ts';
import { EventRecorder } from '../../../src/kubernetes/event-recorder.ts';
import { microTime } from '../../../src/kubernetes/micro-time.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function start() {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const connection = api.connect();
  const dropped: string[] = [];
  const stop = new AbortController();
  let chance = 0;
  const recorder = new EventRecorder({
    transport: connection,
    clock,
    random: () => (chance = (chance + 0.137) % 1),
    log,
    reportingInstance: 'replica-1',
    onDropped: (why) => dropped.push(why),
  });
  const run = recorder.run(stop.signal);
  stops.push(async () => {
    stop.abort();
    await clock.advance(100);
    await run;
    expect(clock.pendingTimers()).toBe(0);
  });
  return { clock, api, connection, recorder, dropped };
}

const notice = (name: string, rest: Partial<EventNotice> = {}): EventNotice => ({
  regarding: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name, uid: `uid-${name}` },
  type: 'Normal',
  reason: 'Registered',
  action: 'Register',
  note: 'it is registered',
  ...rest,
});

describe('what is sent', () => {
  test('one event, as events.k8s.io/v1 wants it', async () => {
    const { clock, api, recorder } = start();
    const related = { apiVersion: 'v1', kind: 'Node', namespace: '', name: 'n', uid: 'u' };
    recorder.emit(notice('a', { related }));
    await clock.settle();
    const [event] = api.list('Event');
    expect(event).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: 'default', name: expect.stringMatching(/^a\.[0-9a-f]+$/) },
      eventTime: '2026-11-23T09:00:00.000000Z',
      reportingController: 'rollcall.dev/operator',
      reportingInstance: 'replica-1',
      action: 'Register',
      reason: 'Registered',
      type: 'Normal',
      note: 'it is registered',
      regarding: notice('a').regarding,
      related,
    });
    expect(event?.['series']).toBeUndefined();
  });

  test('repeats within six minutes become a series; later ones a new event', async () => {
    const { clock, api, recorder } = start();
    for (let i = 0; i < 3; i++) {
      recorder.emit(notice('a'));
      await clock.advance(60_000);
    }
    expect(api.list('Event')).toHaveLength(1);
    expect(api.list('Event')[0]?.['series']).toEqual({ count: 3, lastObservedTime: '2026-11-23T09:02:00.000000Z' });
    await clock.advance(6 * 60_000);
    recorder.emit(notice('a'));
    await clock.settle();
    expect(api.list('Event')).toHaveLength(2);
  });

  test('repeats while the server hangs are one request', async () => {
    const { clock, api, connection, recorder } = start();
    connection.faults.hold();
    for (let i = 0; i < 10; i++) recorder.emit(notice('a'));
    expect(recorder.queued).toBe(1);
    await clock.advance(1_000);
    connection.faults.pass();
    await clock.settle();
    expect(field(api.list('Event')[0], 'series', 'count')).toBe(10);
    expect(api.requests.get('POST events')).toBe(1);
  });

  test('a series whose event has expired is made anew', async () => {
    const { clock, api, recorder } = start();
    recorder.emit(notice('a'));
    await clock.settle();
    const name = api.list('Event')[0]?.metadata.name ?? '';
    api.delete('Event', 'default', name);
    recorder.emit(notice('a'));
    await clock.advance(100);
    expect(field(api.get('Event', 'default', name), 'series', 'count')).toBe(2);
  });

  test.each([
    ['short', 'short'],
    ['x'.repeat(1_024), 'x'.repeat(1_024)],
    ['x'.repeat(1_025), `${'x'.repeat(1_021)}…`],
    ['é'.repeat(600), `${'é'.repeat(510)}…`],
    ['😀'.repeat(300), `${'😀'.repeat(255)}…`],
  ])('a note is cut at 1,024 bytes, between characters (%#)', async (note, expected) => {
    const { clock, api, recorder } = start();
    recorder.emit(notice('a', { note }));
    await clock.settle();
    expect(textField(api.list('Event')[0], 'note')).toBe(expected);
  });

  test('an event about an object of the cluster lives in default; a long name is cut', async () => {
    const { clock, api, recorder } = start();
    const regarding = { apiVersion: 'v1', kind: 'Node', namespace: '', name: 'n'.repeat(253), uid: 'u' };
    recorder.emit(notice('', { regarding }));
    await clock.settle();
    const [event] = api.list('Event');
    expect(event?.metadata.namespace).toBe('default');
    expect(event?.metadata.name.length).toBeLessThanOrEqual(253);
  });
});

describe('limits', () => {
  test('an object may say 25 things at once, then one per five minutes; others are not affected', async () => {
    const { clock, api, recorder, dropped } = start();
    for (let i = 0; i < 40; i++) recorder.emit(notice('loud', { note: `note ${i}` }));
    recorder.emit(notice('quiet'));
    await clock.advance(2_600);
    expect(api.list('Event')).toHaveLength(26);
    expect(dropped).toHaveLength(15);
    await clock.advance(5 * 60_000);
    recorder.emit(notice('loud', { note: 'later' }));
    recorder.emit(notice('loud', { note: 'too soon' }));
    await clock.advance(200);
    expect(api.list('Event')).toHaveLength(27);
  });

  test('a full queue drops, and says so', async () => {
    const { clock, api, connection, recorder, dropped } = start();
    connection.faults.hold();
    for (let i = 0; i < 1_200; i++) recorder.emit(notice(`pod-${i}`));
    expect(recorder.queued).toBe(1_000);
    expect(dropped).toEqual(Array(200).fill('queueFull'));
    connection.faults.pass();
    // As fast as they can go while many wait, then twenty a second.
    await clock.advance(5_000);
    expect(api.list('Event').length).toBeGreaterThan(590);
    expect(api.list('Event').length).toBeLessThan(610);
    await clock.advance(21_000);
    expect(api.list('Event')).toHaveLength(1_000);
  });
});

describe('failures', () => {
  test('passing ones are tried again, Retry-After is honoured, then the next has its turn', async () => {
    const { clock, api, connection, recorder } = start();
    connection.faults.answer(429, { retryAfterSeconds: 5 });
    recorder.emit(notice('a'));
    await clock.advance(4_900);
    expect(api.requests.get('POST events')).toBe(1);
    connection.faults.pass();
    await clock.advance(200);
    expect(api.list('Event')).toHaveLength(1);
  });

  test('a server that stays ill costs four attempts per event', async () => {
    const { clock, api, connection, recorder, dropped } = start();
    connection.faults.answer(500);
    recorder.emit(notice('a'));
    recorder.emit(notice('b'));
    await clock.advance(120_000);
    expect(api.requests.get('POST events')).toBe(8);
    expect(dropped).toEqual(['refused', 'refused']);
  });

  test('the event after one that was given up waits as long as the server wants', async () => {
    const { clock, api, connection, recorder } = start();
    connection.faults.answer(429, { retryAfterSeconds: 7 });
    recorder.emit(notice('a'));
    recorder.emit(notice('b'));
    await clock.advance(27_900);
    expect(api.requests.get('POST events')).toBe(4);
    await clock.advance(1_000);
    expect(api.requests.get('POST events')).toBe(5);
  });

  test('a refusal is not repeated', async () => {
    const { clock, api, connection, recorder, dropped } = start();
    connection.faults.deny('create events');
    recorder.emit(notice('a'));
    await clock.advance(60_000);
    expect(api.requests.get('POST events')).toBe(1);
    expect(dropped).toEqual(['refused']);
  });
});

test.each([
  [0, '1970-01-01T00:00:00.000000Z'],
  [1_795_424_400_123, '2026-11-23T09:00:00.123000Z'],
])('MicroTime of %d', (wallMs, expected) => {
  expect(microTime(wallMs)).toBe(expected);
});

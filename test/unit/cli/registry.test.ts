import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { changeText, frameLines } from '../../../src/cli/list-watch.ts';
import { type RegistryChange, RegistryChanges } from '../../../src/cli/registry-changes.ts';
import { dataOf, onePerInstance, type RegistryEntry, readEntry, tableLineOf } from '../../../src/cli/registry-entry.ts';
import { tableLines } from '../../../src/cli/registry-table.ts';
import { NINE } from '../../support/builders.ts';
import { aMessage, BUCKET, KEY, type MessageOptions } from './messages.ts';

const anEntry = (options: MessageOptions = {}): RegistryEntry => {
  const read = readEntry(aMessage(options), BUCKET);
  if (read.kind !== 'entry') throw new Error(`${read.kind} is no entry`);
  return read.entry;
};

const at = (ms: number) => ({ wallMs: NINE + ms, serverWallMs: NINE + ms });

describe('what a key holds', () => {
  test.each<readonly [what: string, options: MessageOptions, kind: string]>([
    ['a value of ours', {}, 'entry'],
    ['a value of a service that registers itself', { headers: {}, ttlSeconds: null }, 'entry'],
    ['a marker', { operation: 'MaxAge' }, 'gone'],
    ['a removal', { operation: 'PURGE' }, 'gone'],
    ['no JSON', { text: 'nonsense' }, 'unreadable'],
    ['JSON that is no instance', { text: '{"status":"SLEEPY"}' }, 'unreadable'],
    ['a definition', { key: 'trading-service' }, 'other'],
    ['a key of an election', { key: 'election-state.trading-service' }, 'other'],
    ['a key that fails the grammar', { key: 'service-instances.UPPER.x' }, 'other'],
  ])('%s', (_what, options, kind) => {
    expect(readEntry(aMessage(options), BUCKET).kind).toBe(kind);
  });

  test('as data: ages by our clock, what is left by the server clock', () => {
    const clocks = { wallMs: NINE + 5_000, serverWallMs: NINE + 12_000 };
    expect(dataOf(anEntry(), clocks)).toMatchObject({
      key: KEY,
      serviceName: 'trading-service',
      instanceId: 'trading-service-6f1d2c3b',
      status: 'ACTIVE',
      version: '1.4.2',
      heartbeatAgeSeconds: 5,
      ttlSeconds: 30,
      secondsLeft: 18,
      owner: { operatorId: 'my-cluster', namespace: 'trading', pod: 'trading-1' },
      lastWrite: 'Refresh',
      term: 5,
      revision: 7,
    });
    const foreign = anEntry({ headers: {}, ttlSeconds: null });
    expect(dataOf(foreign, clocks)).toMatchObject({ owner: null, ttlSeconds: null, secondsLeft: null, term: null });
  });
});

describe('the table', () => {
  const lines = (width: number) => tableLines([tableLineOf(anEntry(), at(2_000))], width);

  test('says service, instance, status, version, heartbeat, time to live and owner', () => {
    const text = lines(200).join('\n');
    for (const cell of ['trading-service', '6f1d2c3b', 'ACTIVE', '1.4.2', '2.0 s ago', '28 s', 'trading/trading-1']) {
      expect(text).toContain(cell);
    }
  });

  test.each([60, 80, 120, 200])('is no wider than %i columns', (width) => {
    for (const line of lines(width)) expect(line.length).toBeLessThanOrEqual(width);
  });

  test('what never lapses, and what is not of Rollcall, is said', () => {
    const entry = anEntry({ headers: {}, ttlSeconds: null });
    const text = tableLines([tableLineOf(entry, at(0))], 200).join('\n');
    expect(text).toContain('never lapses');
    expect(text).toContain('not of Rollcall');
  });

  test('control characters of a value do not reach the terminal', () => {
    const entry = anEntry({ value: { version: '1.0\u001b[2J' } });
    expect(tableLines([tableLineOf(entry, at(0))], 200).join('\n')).not.toContain('\u001b[2J');
  });
});

test('an instance with two keys is one line of the table, the dotted one', () => {
  const underscore = 'service-instances_trading-service_trading-service-6f1d2c3b';
  const both = [anEntry(), { ...anEntry(), key: underscore }];
  expect(onePerInstance(both).map(({ key }) => key)).toEqual([KEY]);
  expect(onePerInstance(both.slice(1)).map(({ key }) => key)).toEqual([underscore]);
  expect(changeText({ event: 'ADDED', entry: { ...anEntry(), key: underscore } }, at(0), 'table')).toContain(
    underscore,
  );
});

describe('changes', () => {
  const told = (changes: RegistryChanges, ...messages: readonly MessageOptions[]) =>
    messages.map((message) => changes.see(aMessage(message))?.event);

  test('a refresh is none; another status, version, TTL or owner is one', () => {
    const changes = new RegistryChanges(BUCKET, undefined);
    expect(
      told(
        changes,
        {},
        { storedAtMs: NINE + 10_000 },
        { value: { status: 'UNHEALTHY' } },
        { value: { status: 'UNHEALTHY', version: '2.0.0' } },
        { value: { status: 'UNHEALTHY', version: '2.0.0' }, ttlSeconds: 60 },
        { value: { status: 'UNHEALTHY', version: '2.0.0' }, ttlSeconds: 60, headers: {} },
      ),
    ).toEqual(['ADDED', undefined, 'MODIFIED', 'MODIFIED', 'MODIFIED', 'MODIFIED']);
  });

  test('a lapse and a removal are told once, and a key that was not known tells nothing', () => {
    const changes = new RegistryChanges(BUCKET, undefined);
    expect(told(changes, { operation: 'MaxAge' }, {}, { operation: 'MaxAge' }, { operation: 'MaxAge' })).toEqual([
      undefined,
      'ADDED',
      'LAPSED',
      undefined,
    ]);
    expect(told(changes, {}, { operation: 'PURGE' })).toEqual(['ADDED', 'REMOVED']);
    expect(changes.entries()).toEqual([]);
    expect(changes.goneSince(NINE).map(({ how }) => how)).toEqual(['removed']);
    expect(changes.goneSince(NINE + 1)).toEqual([]);
  });

  test('where no marker comes the clock tells', () => {
    const changes = new RegistryChanges(BUCKET, undefined);
    told(changes, {}, { key: 'service-instances.quotes.quotes-1', ttlSeconds: null });
    expect(changes.expire(at(30_900))).toEqual([]);
    expect(changes.expire(at(31_100)).map(({ event, entry }) => [event, entry.key])).toEqual([['LAPSED', KEY]]);
    expect(changes.expire(at(99_000))).toEqual([]);
    expect(changes.entries().map(({ serviceName }) => serviceName)).toEqual(['quotes']);
  });

  test('of one service only', () => {
    const changes = new RegistryChanges(BUCKET, 'quotes');
    expect(told(changes, {}, { key: 'service-instances.quotes.quotes-1' })).toEqual([undefined, 'ADDED']);
  });

  test('as a line, as JSON, as YAML', () => {
    const change: RegistryChange = { event: 'ADDED', entry: anEntry() };
    expect(changeText(change, at(0), 'table')).toBe(
      '2026-11-23T09:00:00.000Z  ADDED     trading-service/trading-service-6f1d2c3b  ACTIVE  1.4.2  TTL 30 s  trading/trading-1\n',
    );
    const json = changeText(change, at(0), 'json');
    expect(json.endsWith('}\n')).toBe(true);
    expect(JSON.parse(json)).toMatchObject({ event: 'ADDED', key: KEY });
    expect(changeText(change, at(0), 'yaml')).toMatch(/^---\nevent: ADDED\nkey: /);
  });
});

describe('the lines of a frame', () => {
  const drawn = (changes: RegistryChanges, afterMs: number, rows: number, connected = true) =>
    frameLines(BUCKET, undefined, { connected: () => connected }, changes, at(afterMs), 60, rows).map(
      stripVTControlCharacters,
    );
  const changesWith = (count: number) => {
    const changes = new RegistryChanges(BUCKET, undefined);
    for (let n = 0; n < count; n += 1) changes.see(aMessage({ key: `service-instances.quotes.quotes-${n}` }));
    return changes;
  };

  test('fit the terminal, and say how many do not', () => {
    const lines = drawn(changesWith(20), 0, 10);
    expect(lines).toHaveLength(10);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(60);
    expect(lines.at(-1)).toMatch(/^\d+ lines more; Ctrl-C ends it$/);
    const shown = lines.filter((line) => line.includes('quotes-')).length;
    const all = drawn(changesWith(20), 0, 60);
    expect(all.at(-1)).toBe('Ctrl-C ends it');
    expect(all.filter((line) => line.includes('quotes-')).length).toBe(20);
    expect(lines.at(-1)).toContain(String(20 - shown));
  });

  test('show for a while what went, and that nothing can be heard', () => {
    const changes = changesWith(2);
    changes.see(aMessage({ key: 'service-instances.quotes.quotes-1', operation: 'MaxAge', storedAtMs: NINE + 1_000 }));
    expect(drawn(changes, 2_000, 24).join('\n')).toMatch(/quotes-1.*lapsed/i);
    expect(drawn(changes, 9_000, 24).join('\n')).not.toContain('quotes-1');
    expect(drawn(changes, 9_000, 24)[0]).not.toContain('NO CONNECTION');
    expect(drawn(changes, 9_000, 24, false)[0]).toContain('NO CONNECTION TO NATS');
    expect(drawn(new RegistryChanges(BUCKET, undefined), 0, 24)).toContain(
      `No instance stands in the bucket ${BUCKET}.`,
    );
  });
});

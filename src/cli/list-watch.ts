// `rollcall list --watch`: in a terminal a table that is redrawn in place; otherwise one line per change, so that it can
// be searched, counted and kept.

import { systemClock } from '../clock.ts';
import { parseInstanceKey } from '../domain/names.ts';
import { formatTimestamp, UTC } from '../domain/timestamp.ts';
import type { NatsRegistry } from '../nats/registry.ts';
import { type Format, type Io, printData } from './command.ts';
import { Frame } from './frame.ts';
import { nothing } from './read-registry.ts';
import { type RegistryChange, RegistryChanges } from './registry-changes.ts';
import { type Clocks, dataOf, onePerInstance, ownerText, tableLineOf } from './registry-entry.ts';
import { countsOf, tableLines } from './registry-table.ts';
import { paint } from './text.ts';

type WatchOptions = { readonly service: string | undefined; readonly format: Format };

const FRAME_MS = 250;
/** Long enough to see that a key went. */
const SHOW_GONE_MS = 5_000;

/** Until the signal aborts. Resolves with the exit code. */
export const watchRegistry = async (
  bucket: string,
  options: WatchOptions,
  registry: NatsRegistry,
  now: () => Clocks,
  io: Io,
): Promise<number> => {
  const changes = new RegistryChanges(bucket, options.service);
  const { terminal } = io;
  const drawn = terminal !== undefined && options.format === 'table';
  const tell = (change: RegistryChange | undefined) => {
    if (change !== undefined && !drawn) io.print(changeText(change, now(), options.format));
  };
  const following = registry.follow(`$KV.${bucket}.>`, (message) => tell(changes.see(message)), io.signal);
  const frame = drawn
    ? new Frame(terminal, (width, rows) => frameLines(bucket, options.service, registry, changes, now(), width, rows))
    : undefined;
  registry.onConnectionChange((up) => {
    if (frame === undefined && !io.signal.aborted)
      io.complain(up ? 'connected to NATS again\n' : 'the connection to NATS is lost\n');
  });
  while (!io.signal.aborted) {
    // While nothing can be heard nobody knows what lapses.
    if (registry.connected()) for (const change of changes.expire(now())) tell(change);
    frame?.draw();
    await systemClock.sleep(FRAME_MS, io.signal);
  }
  frame?.close();
  await following;
  return 0;
};

export const frameLines = (
  bucket: string,
  service: string | undefined,
  registry: Pick<NatsRegistry, 'connected'>,
  changes: RegistryChanges,
  clocks: Clocks,
  width: number,
  rows: number,
): readonly string[] => {
  const gone = changes.goneSince(clocks.serverWallMs - SHOW_GONE_MS);
  const lines = [
    ...onePerInstance(changes.entries()).map((entry) => tableLineOf(entry, clocks)),
    ...gone.map(({ entry, how }) => tableLineOf(entry, clocks, how)),
  ].toSorted((a, b) => compare(a.serviceName, b.serviceName) || compare(a.instanceId, b.instanceId));
  const table = lines.length === 0 ? [nothing(service, bucket)] : tableLines(lines, width);
  const room = rows - 3;
  const shown = table.slice(0, room);
  const more = table.length - shown.length;
  const link = registry.connected() ? '' : '   NO CONNECTION TO NATS: this is what was seen last';
  return [
    paint(
      [
        [bucket, 'bold'],
        [`   ${countsOf(lines)}`, 'dim'],
        [link, ['red', 'bold']],
      ],
      width,
    ),
    '',
    ...shown,
    paint([[more === 0 ? 'Ctrl-C ends it' : `${more} lines more; Ctrl-C ends it`, 'dim']], width),
  ];
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** One line, ended; in YAML one document. */
export const changeText = ({ event, entry }: RegistryChange, clocks: Clocks, format: Format): string => {
  if (format === 'json') return `${JSON.stringify({ event, ...dataOf(entry, clocks) })}\n`;
  if (format === 'yaml') return `---\n${printData({ event, ...dataOf(entry, clocks) }, 'yaml')}`;
  const ttl = entry.ttlMs === undefined ? 'no TTL' : `TTL ${entry.ttlMs / 1_000} s`;
  const at = formatTimestamp(clocks.wallMs, UTC);
  const words = [at, event.padEnd(8), `${entry.serviceName}/${entry.instanceId}`];
  if (event === 'ADDED' || event === 'MODIFIED') words.push(entry.status, entry.content.version, ttl);
  words.push(ownerText(entry.owner));
  // An instance can have two keys, and each has a life of its own.
  if (parseInstanceKey(entry.key)?.form !== 'Dotted') words.push(entry.key);
  return `${words.join('  ')}\n`;
};

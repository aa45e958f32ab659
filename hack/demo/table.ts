/** The bucket as a table of text: service by service, instance by instance. Pure; the screen decides when and where. */

import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { Entry, Status } from './registry-watch.ts';
import { cut, type Piece } from './text.ts';

type Style = NonNullable<Piece[1]>;

const statusStyles: Readonly<Record<Status, Style>> = { ACTIVE: 'green', STANDBY: 'cyan', UNHEALTHY: 'yellow' };
const goneStyle: Style = ['red', 'dim'];

type Clocks = { readonly monotonicMs: number; readonly wallMs: number };

type Column = {
  readonly title: string;
  readonly width: number;
  /** The lower, the sooner it is left out where the terminal is narrow. */
  readonly rank: number;
  readonly cell: (entry: Entry, clocks: Clocks) => string;
};

const columns: readonly Column[] = [
  {
    title: 'STATUS',
    rank: 6,
    width: 11,
    cell: ({ status, goneAtMs }) =>
      goneAtMs === undefined ? styleText(statusStyles[status], status) : styleText(goneStyle, 'gone'),
  },
  { title: 'VERSION', rank: 4, width: 9, cell: ({ version }) => cut(version, 8) },
  {
    title: 'HEARTBEAT',
    rank: 3,
    width: 11,
    cell: ({ heartbeatWallMs }, { wallMs }) => `${(Math.max(0, wallMs - heartbeatWallMs) / 1_000).toFixed(1)} s ago`,
  },
  { title: 'TIME TO LIVE', rank: 5, width: 16, cell: (entry, { monotonicMs }) => timeToLive(entry, monotonicMs) },
  { title: 'POD', rank: 2, width: 33, cell: ({ podName }) => cut(podName, 32) },
  { title: 'LAST WRITE', rank: 1, width: 12, cell: ({ reason }) => cut(reason, 11) },
];
const instanceWidthMin = 28;
const instanceWidthMax = 44;

/** Lines no wider than `width` (if that is 40 at least), the titles first. */
export function tableLines(entries: readonly Entry[], clocks: Clocks, width: number): readonly string[] {
  let left = width - instanceWidthMin;
  const fitting = new Set<Column>();
  for (const column of columns.toSorted((a, b) => b.rank - a.rank)) {
    if (column.width > left && fitting.size >= 1) continue;
    fitting.add(column);
    left -= column.width;
  }
  const shown = columns.filter((column) => fitting.has(column));
  const firstWidth = Math.min(instanceWidthMin + left, instanceWidthMax);
  const table = new Table({
    head: ['SERVICE AND INSTANCE', ...shown.map(({ title }) => title)].map((title) => styleText('dim', title)),
    colWidths: [firstWidth, ...shown.map((column) => column.width)],
    chars: noLines,
    style: { 'padding-left': 0, 'padding-right': 1, head: [], border: [], compact: true },
  });
  for (const [service, instances] of Map.groupBy(entries, ({ serviceName }) => serviceName)) {
    const title = `${styleText('bold', cut(service, width / 2))}  ${styleText('dim', countsOf(instances))}`;
    table.push([{ content: title, colSpan: shown.length + 1 }]);
    for (const entry of instances) {
      table.push([`  ${cut(entry.instanceId, firstWidth - 3)}`, ...shown.map(({ cell }) => cell(entry, clocks))]);
    }
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

/** `3 ACTIVE, 1 UNHEALTHY` */
export function countsOf(entries: readonly Entry[]): string {
  const live = entries.filter(({ goneAtMs }) => goneAtMs === undefined);
  const byStatus = Map.groupBy(live, ({ status }) => status);
  return [...byStatus].map(([status, { length }]) => `${length} ${status}`).join(', ') || 'no key';
}

const barCells = 8;

function timeToLive({ ttlMs, writtenAtMs, goneAtMs }: Entry, nowMs: number): string {
  if (goneAtMs !== undefined) return '';
  const leftMs = Math.max(0, writtenAtMs + ttlMs - nowMs);
  const part = leftMs / ttlMs;
  const filled = Math.round(part * barCells);
  const style: Style = part > 0.5 ? 'green' : part > 0.2 ? 'yellow' : 'red';
  const bar = styleText(style, '█'.repeat(filled)) + styleText('dim', '░'.repeat(barCells - filled));
  return `${bar} ${Math.ceil(leftMs / 1_000)} s`;
}

const noLines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

// The bucket as a table of text: service by service, instance by instance. Pure; who shows it decides when and where.

import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { InstanceStatus } from '../domain/instance.ts';
import { cut, type Piece } from './text.ts';

/** One key, as it stands at the moment of drawing. */
export type TableLine = {
  readonly serviceName: string;
  readonly instanceId: string;
  readonly status: InstanceStatus;
  readonly version: string;
  readonly heartbeatAgeMs: number;
  /** Undefined for a key that never lapses. */
  readonly ttlMs: number | undefined;
  readonly leftMs: number;
  /** Whose it is: `namespace/pod` where we know. */
  readonly owner: string;
  readonly lastWrite: string;
  /** It lapsed or was removed a moment ago. */
  readonly gone?: 'lapsed' | 'removed' | undefined;
};

type Style = NonNullable<Piece[1]>;

const statusStyles: Readonly<Record<InstanceStatus, Style>> = { ACTIVE: 'green', STANDBY: 'cyan', UNHEALTHY: 'yellow' };
const goneStyle: Style = ['red', 'dim'];

type Column = {
  readonly title: string;
  readonly width: number;
  /** The lower, the sooner it is left out where the terminal is narrow. */
  readonly rank: number;
  readonly cell: (line: TableLine) => string;
};

const columns: readonly Column[] = [
  {
    title: 'STATUS',
    rank: 6,
    width: 11,
    cell: ({ status, gone }) =>
      gone === undefined ? styleText(statusStyles[status], status) : styleText(goneStyle, gone),
  },
  { title: 'VERSION', rank: 4, width: 9, cell: ({ version }) => cut(version, 8) },
  {
    title: 'HEARTBEAT',
    rank: 3,
    width: 12,
    cell: ({ heartbeatAgeMs }) => `${(Math.max(0, heartbeatAgeMs) / 1_000).toFixed(1)} s ago`,
  },
  { title: 'TIME TO LIVE', rank: 5, width: 16, cell: (line) => timeToLive(line) },
  { title: 'NAMESPACE/POD', rank: 2, width: 43, cell: ({ owner }) => cut(owner, 42) },
  { title: 'LAST WRITE', rank: 1, width: 12, cell: ({ lastWrite }) => cut(lastWrite, 11) },
];
const instanceWidthMin = 28;
const instanceWidthMax = 44;

/** Lines no wider than `width` (if that is 40 at least), the titles first. */
export const tableLines = (lines: readonly TableLine[], width: number): readonly string[] => {
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
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 1, head: [], border: [], compact: true },
  });
  for (const [service, instances] of Map.groupBy(lines, ({ serviceName }) => serviceName)) {
    const title = `${styleText('bold', cut(service, width / 2))}  ${styleText('dim', countsOf(instances))}`;
    table.push([{ content: title, colSpan: shown.length + 1 }]);
    for (const line of instances) {
      table.push([`  ${cut(line.instanceId, firstWidth - 3)}`, ...shown.map(({ cell }) => cell(line))]);
    }
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
};

/** `3 ACTIVE, 1 UNHEALTHY` */
export const countsOf = (lines: readonly Pick<TableLine, 'status' | 'gone'>[]): string => {
  const live = lines.filter(({ gone }) => gone === undefined);
  const byStatus = Map.groupBy(live, ({ status }) => status);
  return [...byStatus].map(([status, { length }]) => `${length} ${status}`).join(', ') || 'no key';
};

const BAR_CELLS = 8;

const timeToLive = ({ ttlMs, leftMs, gone }: TableLine): string => {
  if (gone !== undefined) return '';
  if (ttlMs === undefined) return 'never lapses';
  const part = Math.min(1, Math.max(0, leftMs) / ttlMs);
  const filled = Math.round(part * BAR_CELLS);
  const style: Style = part > 0.5 ? 'green' : part > 0.2 ? 'yellow' : 'red';
  const bar = styleText(style, '█'.repeat(filled)) + styleText('dim', '░'.repeat(BAR_CELLS - filled));
  return `${bar} ${Math.ceil(Math.max(0, leftMs) / 1_000)} s`;
};

const NO_LINES = {
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

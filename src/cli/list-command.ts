// `rollcall list`: what stands in the registry now. What goes on in it is `list-watch.ts`.

import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { type Format, type Io, printData } from './command.ts';
import { watchRegistry } from './list-watch.ts';
import { withRegistry } from './open-registry.ts';
import { nothing, readClocks, readEntries } from './read-registry.ts';
import { byKey, dataOf, onePerInstance, tableLineOf } from './registry-entry.ts';
import { tableLines } from './registry-table.ts';
import { plural } from './text.ts';

export type ListOptions = {
  readonly service: string | undefined;
  readonly format: Format;
  readonly watch: boolean;
};

const PLAIN_WIDTH = 200;
const UNREADABLE_NAMED = 5;

/** Resolves with the exit code. */
export const runList = (config: Config, options: ListOptions, io: Io): Promise<number> =>
  withRegistry(config, systemClock, async (registry) => {
    const now = await readClocks(registry, config.bucket, io.signal);
    if (options.watch) return watchRegistry(config.bucket, options, registry, now, io);
    const { entries, unreadable } = await readEntries(registry, config.bucket, io.signal);
    const { service, format } = options;
    const shown = entries.filter((entry) => service === undefined || entry.serviceName === service).toSorted(byKey);
    const clocks = now();
    if (format !== 'table') {
      io.print(
        printData(
          shown.map((entry) => dataOf(entry, clocks)),
          format,
        ),
      );
    } else if (shown.length === 0) {
      io.print(`${nothing(service, config.bucket)}\n`);
    } else {
      const lines = onePerInstance(shown).map((entry) => tableLineOf(entry, clocks));
      io.print(`${tableLines(lines, io.terminal?.columns ?? PLAIN_WIDTH).join('\n')}\n`);
    }
    if (unreadable.length > 0) {
      const named = unreadable.slice(0, UNREADABLE_NAMED).join(', ');
      io.complain(`${plural(unreadable.length, 'key')} with a value that is no instance's, left out: ${named}\n`);
    }
    return 0;
  });

// Reads the registry for commands: every instance that stands, and what time it is there.

import { systemClock } from '../clock.ts';
import type { NatsRegistry } from '../nats/registry.ts';
import { RegistryError } from '../writer/registry.ts';
import { CommandError } from './command.ts';
import { type Clocks, type RegistryEntry, readEntry } from './registry-entry.ts';

export const nothing = (service: string | undefined, bucket: string): string =>
  service === undefined
    ? `No instance stands in the bucket ${bucket}.`
    : `No instance of ${service} stands in the bucket ${bucket}.`;

/** Every instance that stands, in no order, and keys of instances whose values cannot be read. @throws CommandError */
export const readEntries = async (
  registry: NatsRegistry,
  bucket: string,
  signal: AbortSignal,
): Promise<{ readonly entries: readonly RegistryEntry[]; readonly unreadable: readonly string[] }> => {
  const entries = new Map<string, RegistryEntry>();
  const unreadable = new Set<string>();
  try {
    for await (const page of registry.readBack([`$KV.${bucket}.>`], signal)) {
      for (const message of page) {
        const read = readEntry(message, bucket);
        if (read.kind === 'other') continue;
        const key = read.kind === 'entry' ? read.entry.key : read.key;
        // What is written meanwhile comes twice: the later message counts.
        entries.delete(key);
        unreadable.delete(key);
        if (read.kind === 'entry') entries.set(key, read.entry);
        if (read.kind === 'unreadable') unreadable.add(key);
      }
    }
  } catch (error) {
    throw readingFailed(error, bucket);
  }
  return { entries: [...entries.values()], unreadable: [...unreadable] };
};

/** Both clocks, from now on: the server's is ours plus what was found at the start. @throws CommandError */
export const readClocks = async (
  registry: NatsRegistry,
  bucket: string,
  signal: AbortSignal,
): Promise<() => Clocks> => {
  try {
    const offsetMs = await registry.clockOffsetMs(signal);
    return () => {
      const wallMs = systemClock.wallMs();
      return { wallMs, serverWallMs: wallMs + offsetMs };
    };
  } catch (error) {
    throw readingFailed(error, bucket);
  }
};

const readingFailed = (error: unknown, bucket: string): unknown => {
  if (!(error instanceof RegistryError)) return error;
  if (error.kind === 'missing') {
    return new CommandError(
      `the bucket ${bucket} does not exist: is --bucket right? \`rollcall bucket ensure\` makes it, and so does the operator`,
    );
  }
  return new CommandError(`cannot read the bucket ${bucket}: ${error.message}`);
};

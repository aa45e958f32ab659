// Ready-made NATS registries for integration tests: connected to a server of the test, inspected, and ended with it.
// Not a fake: the adapter itself.

import { connect, type NatsConnection } from '@nats-io/transport-node';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { systemClock } from '../../src/clock.ts';
import type { NatsOptions } from '../../src/nats/connection.ts';
import { createNatsRegistry, type NatsRegistry, type NatsRegistryOptions } from '../../src/nats/registry.ts';

export type TestRegistry = NatsRegistry & {
  /** What the adapter logged. */
  readonly lines: readonly string[];
  readonly stop: () => Promise<void>;
};

type Options = Partial<NatsRegistryOptions> & { readonly bucket: string; readonly connection?: Partial<NatsOptions> };

/** Not waited for: for servers that refuse or are not there yet. */
export function startRegistry(servers: readonly string[], { connection, ...options }: Options): TestRegistry {
  const lines: string[] = [];
  const note = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const registry = createNatsRegistry({
    connectionOptions: { servers, name: 'test', ...connection },
    bucketPolicy: 'Create',
    clock: systemClock,
    log: { debug: note, info: note, warn: note, error: note },
    ...options,
  });
  const stop = new AbortController();
  const running = registry.start(stop.signal);
  return {
    ...registry,
    lines,
    stop: () => {
      stop.abort();
      return running;
    },
  };
}

/** Connected, with a bucket that will do. */
export async function readyRegistry(servers: readonly string[], options: Options): Promise<TestRegistry> {
  const registry = startRegistry(servers, options);
  const { signal } = new AbortController();
  await waitFor('a usable bucket', async () => (await registry.inspect(signal)).kind === 'usable', {
    deadlineMs: 20_000,
  });
  return registry;
}

export function connectStranger(url: string): Promise<NatsConnection> {
  return connect({ servers: url, reconnectTimeWait: 100, maxReconnectAttempts: -1 });
}

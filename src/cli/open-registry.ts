// The registry for the length of one command: connects, and says what a person can do where that fails.

import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { NatsRegistry } from '../nats/registry.ts';
import { CommandError } from './command.ts';
import { natsRegistryOf } from './from-config.ts';

/** A server that is there answers in milliseconds; a person waits no longer than this. */
const CONNECT_WITHIN_MS = 5_000;

/** @throws CommandError when NATS cannot be reached */
export const withRegistry = async <T>(
  config: Config,
  clock: Clock,
  use: (registry: NatsRegistry) => Promise<T>,
): Promise<T> => {
  const problems: string[] = [];
  const registry = natsRegistryOf(config, clock, listening(problems));
  const closed = new AbortController();
  const connection = registry.start(closed.signal);
  try {
    if (!(await connected(registry, clock))) throw new CommandError(unreachable(config, problems.at(-1)));
    return await use(registry);
  } finally {
    closed.abort();
    await connection;
  }
};

const connected = async (registry: NatsRegistry, clock: Clock): Promise<boolean> => {
  const settled = new AbortController();
  registry.onConnectionChange((up) => {
    if (up) settled.abort();
  });
  if (!registry.connected()) await clock.sleep(CONNECT_WITHIN_MS, settled.signal);
  return registry.connected();
};

const unreachable = ({ natsUrl }: Config, problem: string | undefined): string => {
  // The user part of an address may be a password.
  const servers = natsUrl.map((server) => server.replace(/^([a-z]+:\/\/)?.*@/, '$1')).join(', ');
  return (
    `cannot reach NATS at ${servers}${problem === undefined ? '' : `: ${problem}`}\n` +
    'Is the address right (--nats-url, ROLLCALL_NATS_URL), the server up, and do the credentials fit (--nats-creds and others)?'
  );
};

/** Whoever waits for a command wants its last problem, not its log. */
const listening = (problems: string[]): Log => {
  const note = (fields: object) => {
    if ('problem' in fields && typeof fields.problem === 'string') problems.push(fields.problem);
  };
  return { debug: () => undefined, info: () => undefined, warn: note, error: note };
};

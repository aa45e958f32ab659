/**
 * The fenced side of the throughput measurement: the production writer, table, metrics and NATS adapter, with rows
 * that are always due again. A gate in front of the adapter opens for one window at a time.
 */
import { systemClock, systemRandom } from '../../src/clock.ts';
import { objectKey } from '../../src/domain/pod.ts';
import { parseOffset } from '../../src/domain/service-instance.ts';
import { createNatsRegistry } from '../../src/nats/registry.ts';
import { InstanceTable } from '../../src/table/instance-table.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import type { Registry } from '../../src/writer/registry.ts';
import { WriteBudget } from '../../src/writer/write-budget.ts';
import { Writer } from '../../src/writer/writer.ts';
import { waitFor } from '../control-plane/wait.ts';
import { answerQuestions, trusted } from '../control-plane/worker-process.ts';
import { OPERATOR_ID, REFRESHED_KEYS, refreshLoad, type Window } from './refresh-load.ts';

/** One tick of the table's wheel: a key is due again within a second, and a pass over all takes longer. */
const INTERVAL_MS = 500;

answerQuestions({
  start: (argument) => start(trusted<{ url: string; bucket: string }>(argument)),
  window: (argument) => gate.window(trusted<number>(argument)),
});

/** Lets commits through while a window is open and counts them. Before `close` of the preparation all pass. */
class Gate {
  #free = true;
  #passage: PromiseWithResolvers<void> | undefined;
  #atGate: PromiseWithResolvers<void> | undefined;
  #endMs = 0;
  #keys = 0;
  #acksMs: number[] = [];

  /** Stops the writer at its next batch; resolves when it waits there. */
  close(): Promise<void> {
    this.#atGate = Promise.withResolvers();
    this.#free = false;
    return this.#atGate.promise;
  }

  /** Whole cycles only: from a batch that waits to be sent to the first one, after `ms`, that waits again. */
  async window(ms: number): Promise<Window> {
    this.#keys = 0;
    this.#acksMs = [];
    const cpu = process.cpuUsage();
    const beginMs = performance.now();
    this.#endMs = beginMs + ms;
    this.#atGate = Promise.withResolvers();
    this.#passage?.resolve();
    this.#passage = undefined;
    await this.#atGate.promise;
    const { user, system } = process.cpuUsage(cpu);
    return {
      keys: this.#keys,
      ms: performance.now() - beginMs,
      cpuMs: (user + system) / 1_000,
      acksMs: this.#acksMs,
    };
  }

  wrap(registry: Registry): Registry {
    return {
      ...registry,
      commit: async (messages, signal) => {
        if (!this.#free && performance.now() >= this.#endMs) {
          this.#passage = Promise.withResolvers();
          this.#atGate?.resolve();
          await this.#passage.promise;
        }
        const sentAtMs = performance.now();
        const outcome = await registry.commit(messages, signal);
        this.#acksMs.push(performance.now() - sentAtMs);
        if (outcome.kind !== 'committed' && !this.#free)
          throw new Error(`a batch was not stored: ${JSON.stringify(outcome)}`);
        this.#keys += messages.length - 1;
        return outcome;
      },
    };
  }
}

const gate = new Gate();

async function start({ url, bucket }: { url: string; bucket: string }): Promise<void> {
  const { signal } = new AbortController();
  const quiet = { debug() {}, info() {}, warn: complain, error: complain };
  const registry = createNatsRegistry({
    connectionOptions: { servers: [url], name: 'bench fenced' },
    bucket,
    bucketPolicy: 'Create',
    clock: systemClock,
    log: quiet,
  });
  void registry.start(signal);
  const table: InstanceTable = new InstanceTable(systemClock, { onUrgent: () => writer.wake(), onReport() {} });
  const metrics = new Metrics();
  const offset = parseOffset('+08:00');
  if (offset === undefined) throw new Error('no offset');
  const writer = new Writer(
    {
      registry: gate.wrap(registry),
      table,
      clock: systemClock,
      random: systemRandom,
      log: quiet,
      bucket,
      operatorId: OPERATOR_ID,
      replicaId: `bench-${process.pid}`,
      offset,
      version: '0.0.0',
      budget: new WriteBudget(systemClock, undefined),
      knowledge: () => 'complete',
      viewAgeMs: () => 0,
      fresh: () => true,
      isUnread: () => false,
      provenAtMs: () => Number.POSITIVE_INFINITY,
      doubt: () => undefined,
      sees: () => true,
      mayKeep: () => true,
      settingsOf: () => ({
        whenNotReady: 'MarkUnhealthy',
        apiOutage: { mode: 'Hold', maxHoldSeconds: 0 },
        refreshIntervalSeconds: 10,
      }),
      observer: {
        written: ({ reason }) => metrics.written(reason),
        batch: (outcome, keys, tookMs) => metrics.batch(outcome, keys, tookMs),
        lapsed: () => metrics.lapsed(),
        missing: (_rows, lapsed) => metrics.lapsed(lapsed),
        conflict: () => metrics.conflict(),
        audited: (found) => metrics.audited(found),
      },
    },
    () => {},
  );
  for (const { wish } of refreshLoad(INTERVAL_MS, '')) {
    table.setWishes(objectKey(wish.pod.namespace, wish.pod.name), wish.pod.uid, [wish], () => undefined);
  }
  // Its end is the end of the measurement: a writer that stops would be waited for in vain.
  writer.run(signal).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  });
  await waitFor('all keys to be written once', () => writer.leading && table.standing() === REFRESHED_KEYS, {
    deadlineMs: 120_000,
  });
  await gate.close();
}

function complain(fields: object, message: string): void {
  process.stderr.write(`fenced: ${message} ${JSON.stringify(fields)}\n`);
}

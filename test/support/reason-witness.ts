// Writes down every reason that a cluster's ServiceRegistrations and Events say while a test runs, from watches of its own:
// some stand for less than a second. Outages of the API server are part of the tests: it connects again and again.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { ControlPlane } from '../../hack/control-plane/control-plane.ts';

/** Where `hack/test.ts` gathers what all test files saw. */
export const REASONS_DIR = '.run/reasons';
const AGAIN_MS = 200;

const registrationSchema = z.object({
  status: z
    .object({
      conditions: z.array(z.object({ type: z.string(), status: z.string(), reason: z.string() })).default([]),
    })
    .default({ conditions: [] }),
});
/** Others send Events too. */
const eventSchema = z.object({ reason: z.string(), reportingController: z.string().default('') });

export class ReasonWitness {
  readonly #said = new Set<string>();
  readonly #agent: Agent;
  readonly #cluster: ControlPlane;
  readonly #stop = new AbortController();
  readonly #watching: Promise<unknown>;

  constructor(cluster: ControlPlane, ca: string) {
    this.#cluster = cluster;
    this.#agent = new Agent({ connect: { ca } });
    this.#watching = Promise.all([
      this.#watch('/apis/rollcall.dev/v1alpha1/serviceregistrations', (object) => {
        for (const { type, status, reason } of registrationSchema.parse(object).status.conditions) {
          this.#said.add(`${type} ${status} ${reason}`);
        }
      }),
      this.#watch('/apis/events.k8s.io/v1/events', (object) => {
        const { reason, reportingController } = eventSchema.parse(object);
        if (reportingController.startsWith('rollcall.dev/')) this.#said.add(`Event ${reason}`);
      }),
    ]);
  }

  static async start(cluster: ControlPlane): Promise<ReasonWitness> {
    return new ReasonWitness(cluster, await readFile(cluster.caFile, 'utf8'));
  }

  /** Leaves what it saw in a file of that name. */
  async close(name: string): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await this.#agent.destroy();
    await mkdir(REASONS_DIR, { recursive: true });
    await writeFile(join(REASONS_DIR, `${name}.json`), JSON.stringify([...this.#said].sort()));
  }

  async #watch(path: string, see: (object: unknown) => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      // Whatever went wrong, the test is not about this watch; what it misses is missing in the end.
      await this.#follow(path, see).catch(() => undefined);
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /** Without a version the watch begins with all there is. */
  async #follow(path: string, see: (object: unknown) => void): Promise<void> {
    const { statusCode, body } = await request(`${this.#cluster.url}${path}?watch=1`, {
      dispatcher: this.#agent,
      headers: { authorization: `Bearer ${this.#cluster.token('admin')}` },
      bodyTimeout: 0,
      signal: this.#stop.signal,
    });
    if (statusCode !== 200) return body.dump();
    for await (const line of createInterface({ input: body })) {
      const { type, object } = z.object({ type: z.string(), object: z.unknown() }).parse(JSON.parse(line));
      if (type !== 'ERROR' && type !== 'BOOKMARK') see(object);
    }
  }
}

// The operator as people start it: `bin/rollcall operator` in a process of its own, with its log, its metrics and its
// probes, to be killed, paused, stopped and started again. Knows nothing of what the operator should do.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { request } from 'undici';
import { z } from 'zod';
import { freePort } from '../../hack/control-plane/free-port.ts';
import { OwnedProcess } from '../../hack/control-plane/owned-process.ts';

/** 60 % of 256 MiB. */
const HEAP_MIB = 154;
const repository = join(import.meta.dirname, '../..');
const binaryOf = (source: string): string => join(source, 'bin/rollcall');

export type OperatorProcessOptions = {
  /** For the log. */
  readonly dir: string;
  /** Names the log file; unique per directory. */
  readonly name: string;
  readonly kubeconfig: string;
  readonly natsUrl: string;
  /** Further flags. */
  readonly args?: readonly string[];
  /** Loaded before anything else, to play a fault in the process itself. */
  readonly preload?: string;
  /** A folder with another `bin/` and `src/` than this repository's. */
  readonly source?: string;
  /** Start waits until the process serves (`livez`, the default), until it says that it is ready, or not at all. */
  readonly await?: 'livez' | 'readyz' | 'nothing';
};

const logLine = z.looseObject({ level: z.string(), time: z.string(), msg: z.string().default('') });
export type LogLine = z.infer<typeof logLine>;

export type ProbeAnswer = { readonly status: number; readonly text: string };

export class OperatorProcess {
  readonly name: string;
  /** To kill, pause, resume and restart; `kill('SIGTERM')` is the polite end and waits for it. */
  readonly process: OwnedProcess;
  readonly #metricsUrl: string;
  readonly #healthUrl: string;

  private constructor(name: string, process: OwnedProcess, metricsUrl: string, healthUrl: string) {
    this.name = name;
    this.process = process;
    this.#metricsUrl = metricsUrl;
    this.#healthUrl = healthUrl;
  }

  static async start(options: OperatorProcessOptions): Promise<OperatorProcess> {
    const {
      dir,
      name,
      kubeconfig,
      natsUrl,
      args = [],
      preload,
      source = repository,
      await: awaited = 'livez',
    } = options;
    const metricsAddress = `127.0.0.1:${await freePort()}`;
    const healthAddress = `127.0.0.1:${await freePort()}`;
    const healthUrl = `http://${healthAddress}`;
    const process = await OwnedProcess.start({
      name,
      command: binaryOf(source),
      args: [
        'operator',
        `--kubeconfig=${kubeconfig}`,
        `--nats-url=${natsUrl}`,
        `--metrics-addr=${metricsAddress}`,
        `--health-addr=${healthAddress}`,
        ...args,
      ],
      env: cleanEnvironment(preload),
      logFile: join(dir, `${name}.log`),
      ...(awaited === 'nothing' ? {} : { ready: async () => (await probe(`${healthUrl}/${awaited}`)).status === 200 }),
    });
    return new OperatorProcess(name, process, `http://${metricsAddress}/metrics`, healthUrl);
  }

  get pid(): number {
    return this.process.pid;
  }

  /** What the current start has logged so far; lines that are no JSON (a crash) as errors. */
  log(): readonly LogLine[] {
    return parseLog(this.process.log());
  }

  /** Lines that a healthy operator never writes: crashes, unhandled rejections, level `fatal`. */
  crashes(): readonly string[] {
    return this.log()
      .filter(({ level, msg }) => level === 'fatal' || level === 'crash' || /unhandled/i.test(msg))
      .map(({ msg }) => msg);
  }

  readyz(): Promise<ProbeAnswer> {
    return probe(`${this.#healthUrl}/readyz`);
  }

  livez(): Promise<ProbeAnswer> {
    return probe(`${this.#healthUrl}/livez`);
  }

  async metrics(): Promise<string> {
    return (await probe(this.#metricsUrl)).text;
  }

  /** The sum of a metric over all its labels, or over those lines that contain `labels`; 0 when there is none. */
  async metric(name: string, labels = ''): Promise<number> {
    let sum = 0;
    for (const line of (await this.metrics()).split('\n')) {
      const [, found, shown = '', value] = /^([a-zA-Z_:]+)(\{.*\})? (\S+)$/.exec(line) ?? [];
      if (found === name && shown.includes(labels)) sum += Number(value);
    }
    return sum;
  }

  /** By its own word; the stream's word is the observer's `holderPid`. */
  async leads(): Promise<boolean> {
    return this.process.running && (await this.metric('leader_election_master_status')) === 1;
  }

  async memoryMiB(): Promise<number> {
    return (await this.metric('process_resident_memory_bytes')) / 2 ** 20;
  }
}

/** Runs `rollcall` with these arguments to its end. */
export const runRollcall = async (
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> => {
  const child = spawn(binaryOf(repository), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), ...env },
  });
  const closed = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  return { code: child.exitCode, stdout, stderr };
};

/**
 * Without what the test runner adds, and without settings of whoever runs the tests; with the heap that the shipped
 * manifest leaves: on a large machine Node would else collect so late that its memory says nothing.
 */
const cleanEnvironment = (preload?: string): NodeJS.ProcessEnv => {
  const dropped = /^(NODE_OPTIONS|NODE_ENV|VITEST.*|KUBECONFIG|KUBERNETES_.*|ROLLCALL_.*)$/;
  const kept = Object.entries(process.env).filter(([name]) => !dropped.test(name));
  return {
    ...Object.fromEntries(kept),
    NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}${preload === undefined ? '' : ` --import=${preload}`}`,
  };
};

const probe = async (url: string): Promise<ProbeAnswer> => {
  const { statusCode, body } = await request(url, { headersTimeout: 3_000, bodyTimeout: 3_000, reset: true });
  return { status: statusCode, text: (await body.text()).trim() };
};

const parseLog = (log: string): readonly LogLine[] =>
  log
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      try {
        return logLine.parse(JSON.parse(line));
      } catch {
        return { level: 'crash', time: '', msg: line };
      }
    });

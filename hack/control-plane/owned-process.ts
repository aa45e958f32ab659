/**
 * A server process that we started and therefore may stop, pause, kill and start again with the same arguments.
 * It never signals anything but its own child; unless `detached`, the child also dies with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { guard, unguard } from './guardian.ts';
import { waitFor } from './wait.ts';

export type ProcessSpec = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Standard output and error are appended here. */
  readonly logFile: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Lives on after this process (for `make up`). */
  readonly detached?: boolean | undefined;
  /** Whether the server serves; `start` and `restart` wait for it. Absent: serving is not waited for. */
  readonly ready?: (process: OwnedProcess) => Promise<boolean>;
  /** Default 30,000: a machine under load starts an API server slowly. */
  readonly readyDeadlineMs?: number;
  /** Told of every start, also of restarts, before readiness. */
  readonly onStart?: ((process: OwnedProcess) => void) | undefined;
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A server that did not come up. `portInUse` is worth another try with another port. */
export class StartError extends Error {
  readonly kind: 'portInUse' | 'exited' | 'notReady';
  readonly process: string;

  constructor(kind: StartError['kind'], process: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.process = process;
  }
}

export class OwnedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #spec: ProcessSpec;
  #child: ChildProcess;
  #exited: Promise<Exit>;
  #running = true;
  #logOffset = 0;

  /** Starts the server and waits until it is ready; ends it again if it does not get ready. */
  static async start(spec: ProcessSpec, signal?: AbortSignal): Promise<OwnedProcess> {
    signal?.throwIfAborted();
    const owned = new OwnedProcess(spec);
    await owned.#untilReady(signal);
    return owned;
  }

  private constructor(spec: ProcessSpec) {
    this.name = spec.name;
    this.logFile = spec.logFile;
    this.#spec = spec;
    [this.#child, this.#exited] = this.#spawn();
  }

  /** The pid of the current start; it changes with `restart`. */
  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.name} could not be started (${this.#spec.command})`);
    return pid;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Settles when the current start ends. */
  get exited(): Promise<Exit> {
    return this.#exited;
  }

  /** Sends a signal; for those that end a process, waits for its end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.#running) return;
    this.#child.kill(signal);
    if (signal !== 'SIGKILL' && signal !== 'SIGTERM' && signal !== 'SIGINT') return;
    // A detached child does not keep this process alive, which must see its end nevertheless.
    this.#child.ref();
    await this.#exited;
  }

  /** SIGSTOP: the server keeps its connections and answers nothing. */
  pause(): void {
    if (this.#running) this.#child.kill('SIGSTOP');
  }

  resume(): void {
    if (this.#running) this.#child.kill('SIGCONT');
  }

  /** Ends it politely, and by force after `graceMs`; also when it is paused. */
  async stop(graceMs = 3_000): Promise<void> {
    if (!this.#running) return;
    this.#child.kill('SIGTERM');
    this.#child.kill('SIGCONT');
    await Promise.race([this.#exited, sleep(graceMs, undefined, { ref: false })]);
    await this.kill('SIGKILL');
  }

  /** Starts it again with the same arguments (kills it first if it runs) and waits until it is ready. */
  async restart(signal?: AbortSignal): Promise<void> {
    await this.restartUnready();
    await this.#untilReady(signal);
  }

  /** The same without waiting, for what cannot become ready. */
  async restartUnready(): Promise<void> {
    await this.kill('SIGKILL');
    [this.#child, this.#exited] = this.#spawn();
  }

  /** What the current start has logged. */
  log(): string {
    return readFileSync(this.logFile).subarray(this.#logOffset).toString('utf8');
  }

  logTail(lines = 10): string {
    return this.log().trimEnd().split('\n').slice(-lines).join('\n');
  }

  #spawn(): [ChildProcess, Promise<Exit>] {
    const { command, args, env, logFile, detached } = this.#spec;
    const log = openSync(logFile, 'a');
    this.#logOffset = fstatSync(log).size;
    // Always a session of its own: Ctrl-C must end the program in front, which then ends its servers in its own order.
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log], env: env ?? process.env });
    closeSync(log);
    this.#running = true;
    const { pid } = child;
    const exited = new Promise<Exit>((resolve) => {
      const end = (exit: Exit) => {
        // A late event of an earlier start must not mark the present one as ended.
        if (this.#child === child) this.#running = false;
        if (pid !== undefined && detached !== true) unguard(pid);
        resolve(exit);
      };
      child.once('exit', (code, signal) => end({ code, signal }));
      child.once('error', () => end({ code: null, signal: null }));
    });
    if (detached === true) child.unref();
    else if (pid !== undefined) guard(pid);
    return [child, exited];
  }

  async #untilReady(signal: AbortSignal | undefined): Promise<void> {
    const { ready, readyDeadlineMs = 30_000, onStart } = this.#spec;
    try {
      if (this.#child.pid === undefined) throw this.#startError('exited', `could not be run (${this.#spec.command})`);
      onStart?.(this);
      if (ready === undefined) return;
      await waitFor(
        `${this.name} to be ready`,
        async () => {
          if (!this.#running) return 'ended';
          return (await ready(this)) && this.#running ? 'ready' : undefined;
        },
        { deadlineMs: readyDeadlineMs, intervalMs: 30, signal },
      );
      if (!this.#running) {
        const { code, signal: by } = await this.#exited;
        throw this.#startError('exited', `ended with ${by ?? `exit code ${code}`} before it was ready`);
      }
    } catch (error) {
      await this.kill('SIGKILL');
      if (error instanceof StartError || signal?.aborted === true) throw error;
      throw this.#startError('notReady', `was not ready after ${readyDeadlineMs} ms`, error);
    }
  }

  #startError(kind: StartError['kind'], what: string, cause?: unknown): StartError {
    const tail = this.logTail();
    // The log is the only channel on which a foreign server says why it could not start.
    const inUse = kind === 'exited' && tail.includes('address already in use');
    const message = `${this.name} ${what}; the last lines of ${this.logFile}:\n${tail}`;
    return new StartError(inUse ? 'portInUse' : kind, this.name, message, { cause });
  }
}

/** Runs `start` again, with other ports, while a port that was free a moment ago turns out to be taken. */
export async function retryPortInUse<T>(start: () => Promise<T>, attempts = 4): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (attempt < attempts && error instanceof StartError && error.kind === 'portInUse') continue;
      throw error;
    }
  }
}

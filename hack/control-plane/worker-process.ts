/**
 * Part of a measurement or a campaign in a process of its own, so that its CPU time and its event loop are its own: the
 * parent asks, the worker answers. The worker dies with its parent.
 */
import { fork } from 'node:child_process';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { guard, unguard } from './guardian.ts';

type Question = { readonly id: number; readonly question: string; readonly argument: unknown };
type Answer = { readonly id: number; readonly value?: unknown; readonly problem?: string };

export type WorkerProcess = {
  readonly pid: number;
  /** The caller names the type that the worker's handler of this question returns. */
  ask<T>(question: string, argument?: unknown): Promise<T>;
  end(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** @param source the worker's file, as `new URL('./x-worker.ts', import.meta.url)` */
export async function startWorker(source: URL, nodeOptions: readonly string[] = []): Promise<WorkerProcess> {
  const path = fileURLToPath(source);
  const file = basename(path, '.ts');
  const child = fork(path, [], {
    execArgv: ['--disable-warning=ExperimentalWarning', ...nodeOptions],
    serialization: 'advanced',
    // Ctrl-C is for the parent, which then ends its workers.
    detached: true,
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${file} could not be started`);
  guard(pid);
  const waiting = new Map<number, (answer: Answer) => void>();
  const exited = Promise.withResolvers<void>();
  let ended = false;
  child.on('message', (message) => {
    const answer = asAnswer(message);
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  child.once('exit', (code, signal) => {
    ended = true;
    unguard(pid);
    for (const [id, resolve] of waiting) resolve({ id, problem: `it ended (${signal ?? code})` });
    waiting.clear();
    exited.resolve();
  });
  let lastId = 0;
  const ask = <T>(question: string, argument?: unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(new Error(`${file} has ended`));
      lastId += 1;
      waiting.set(lastId, ({ value, problem }) => {
        if (problem === undefined) resolve(trusted<T>(value));
        else reject(new Error(`${file}, ${question}: ${problem}`));
      });
      child.send({ id: lastId, question, argument } satisfies Question);
    });
  const end = async () => {
    if (!ended) child.kill('SIGKILL');
    await exited.promise;
  };
  return { pid, ask, end, [Symbol.asyncDispose]: end };
}

export type Handlers = Readonly<Record<string, (argument: unknown) => unknown>>;

/** The worker's side: answers until the parent goes away. */
export function answerQuestions(handlers: Handlers): void {
  process.on('message', (message) => void answer(handlers, asQuestion(message)));
  process.once('disconnect', () => process.exit(0));
}

async function answer(handlers: Handlers, { id, question, argument }: Question): Promise<void> {
  try {
    const handler = handlers[question];
    if (handler === undefined) throw new Error('nobody answers this');
    process.send?.({ id, value: await handler(argument) } satisfies Answer);
  } catch (error) {
    const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.send?.({ id, problem } satisfies Answer);
  }
}

/** The edge between two processes that run the same sources. */
export const trusted = <T>(value: unknown): T => value as T;
const asAnswer = (value: unknown): Answer => value as Answer;
const asQuestion = (value: unknown): Question => value as Question;

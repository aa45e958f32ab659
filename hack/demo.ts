/**
 * `make demo`: pods appear in the registry, fail, move and go, on a control plane and NATS of the demo's own. In a
 * terminal it stays until Ctrl-C; without one it plays once and exits 0, or 1 at the first step that is not seen.
 */
import { rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { seconds } from '../src/cli/text.ts';
import { toolsDir } from './control-plane/tools.ts';
import { Chronicle } from './demo/chronicle.ts';
import { type Installation, install } from './demo/installation.ts';
import { Judge, NotSeen } from './demo/judge.ts';
import { printPlain } from './demo/plain-lines.ts';
import { makeRunDir } from './demo/run-dir.ts';
import { Screen } from './demo/screen.ts';
import { type Chapter, chapters, encore } from './demo/story.ts';

const INTERRUPTED = 130;
/** So that a person can read what happened. */
const PAUSE_MS = 3_000;
const repository = fileURLToPath(new URL('..', import.meta.url));

const inTerminal = process.stdin.isTTY && process.stdout.isTTY && process.env['TERM'] !== 'dumb';

process.exit(await main());

async function main(): Promise<number> {
  // The commands that are shown have paths from here.
  process.chdir(repository);
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort());
  try {
    // Before the screen is taken: the first build takes minutes, and says so itself.
    await toolsDir({ signal: interrupted.signal });
  } catch (error) {
    if (interrupted.signal.aborted) return INTERRUPTED;
    throw error;
  }
  const dir = await makeRunDir(repository);
  const code = await play(dir, interrupted.signal);
  if (code === 1) process.stdout.write(`\ndemo: failed; the logs stay in ${relative(repository, join(dir, 'logs'))}\n`);
  else await rm(dir, { recursive: true, force: true });
  return code;
}

type Stage = { readonly chronicle: Chronicle; installation?: Installation; footer: string };

/** Returns the exit code; whatever was started is ended then. */
async function play(dir: string, interrupted: AbortSignal): Promise<number> {
  const chronicle = new Chronicle(inTerminal ? () => {} : printPlain);
  const stage: Stage = { chronicle, footer: 'Ctrl-C ends it and cleans up' };
  const screen = inTerminal ? showOnScreen(stage) : undefined;
  const ended = new AbortController();
  const owned = new AsyncDisposableStack();
  const code = await perform(stage, dir, owned, interrupted, AbortSignal.any([interrupted, ended.signal]));
  ended.abort();
  await owned.disposeAsync();
  screen?.close();
  if (inTerminal) {
    for (const step of chronicle.steps) for (const line of [undefined, ...step.lines]) printPlain(step, line);
  }
  const took = inTerminal ? '' : ` in ${seconds(performance.now())}`;
  if (code === 0) process.stdout.write(`\nAll steps seen${took}; everything is ended and cleaned up.\n`);
  return code;
}

/** In a terminal it also waits there for Ctrl-C, whatever came of it. */
async function perform(
  stage: Stage,
  dir: string,
  owned: AsyncDisposableStack,
  interrupted: AbortSignal,
  signal: AbortSignal,
): Promise<number> {
  const { chronicle } = stage;
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  /** Ends the story, and leaves the rest for people to look at. */
  const over = new AbortController();
  let allSeen = false;
  try {
    chronicle.begin(0, 'Rollcall: a live register of ready pods in a NATS key-value bucket');
    const options = { repository, dir, chronicle, onBroken: broken.reject, signal, owned };
    const installation = await Promise.race([install(options), broken.promise]);
    stage.installation = installation;
    chronicle.note('in another terminal:');
    for (const hint of installation.hints) chronicle.note(`  ${hint}`);
    await Promise.race([tell(installation, chronicle, AbortSignal.any([signal, over.signal])), broken.promise]);
    allSeen = true;
    stage.footer = 'all steps seen; it goes on until Ctrl-C: try kubectl in another terminal';
    if (inTerminal) await Promise.race([forever(signal), broken.promise]);
    return 0;
  } catch (error) {
    if (interrupted.aborted) return allSeen ? 0 : INTERRUPTED;
    over.abort();
    if (!(error instanceof NotSeen)) {
      chronicle.begin(0, 'Something broke');
      for (const line of problemLines(error)) chronicle.problem(line);
    }
    stage.footer = 'failed; Ctrl-C ends it and cleans up';
    if (inTerminal) await forever(interrupted).catch(() => {});
    return 1;
  }
}

function showOnScreen(stage: Stage): Screen {
  return new Screen(process.stdout, {
    chronicle: stage.chronicle,
    replicas: () => stage.installation?.replicas.all() ?? [],
    entries: () => stage.installation?.registry.entries() ?? [],
    hints: () => stage.installation?.hints ?? [],
    footer: () => stage.footer,
  });
}

async function tell(installation: Installation, chronicle: Chronicle, signal: AbortSignal): Promise<void> {
  const judge = new Judge(chronicle, signal);
  const told: readonly Chapter[] = inTerminal ? [...chapters, encore] : chapters;
  for (const [i, chapter] of told.entries()) {
    chronicle.begin(i + 1, chapter.title);
    await chapter.tell(installation, judge);
    if (inTerminal) await sleep(PAUSE_MS, undefined, { signal });
  }
}

function problemLines(error: unknown): readonly string[] {
  const [first = '', ...rest] = (error instanceof Error ? error.message : String(error)).split('\n');
  return [first, ...rest.map((line) => `  ${line}`)];
}

/** Rejects when the signal aborts. */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

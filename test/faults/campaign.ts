// Plays cases one after the other, each on a stage that is sound, and judges each: its own figures, the standing ones, the
// invariants, and the health of the operators. Cases of the same needs share a stage for as long as they pass.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Judgement, together, type Violation } from './evidence.ts';
import { type FaultCase, type Figure, holds } from './fault-case.ts';
import { nowMs, pause } from './monotonic.ts';
import { Play } from './play.ts';
import { nameOf, Stage } from './stage.ts';
import { drawTimeline } from './timeline.ts';

export type Outcome = {
  readonly id: string;
  readonly fault: string;
  readonly run: number;
  readonly passed: boolean;
  readonly seconds: number;
  readonly figures: readonly Figure[];
  readonly violations: readonly Violation[];
  /** Of the operators, or why the case could not be played to its end. */
  readonly problems: readonly string[];
  readonly shortened: string | undefined;
  readonly messages: number;
  readonly unseen: number;
  /** The picture, if one was drawn. */
  readonly picture: string | undefined;
};

export type CampaignOptions = {
  readonly cases: readonly FaultCase[];
  readonly runs: number;
  readonly short: boolean;
  /** How long a case goes on that has no end of its own; default 60. */
  readonly minutes?: number;
  /** Of stages on which a case failed. */
  readonly keepsLogs: boolean;
  /** Draw every case, not only those that fail. */
  readonly draw: boolean;
  /** Where pictures go; made if absent. */
  readonly dir: string;
  readonly say: (line: string) => void;
  /** Told as each case ends. */
  readonly ended: (outcome: Outcome) => void;
};

/** So that churn is under way when the fault comes. */
const WARM_UP_MS = 3_000;
const SAY_EVERY_MS = 20_000;
/** I12, when nothing happens any more. */
const REQUESTS_PER_SECOND_MAX = 20;
const AT_REST_FOR_MS = 3_000;
/** Events of what happened are sent at twenty a second, behind all else: those of 1,000 pods have to be over. */
const EVENTS_OVER_MS = 60_000;

export const playCampaign = async (options: CampaignOptions): Promise<readonly Outcome[]> => {
  const outcomes: Outcome[] = [];
  let stage: Stage | undefined;
  try {
    for (let run = 1; run <= options.runs; run += 1) {
      for (const one of options.cases) {
        const say = (line: string) => options.say(`${one.id}  ${line}`);
        if (stage !== undefined && nameOf(stage.needs) !== nameOf(one.stage)) {
          await stage.close({ keepLogs: false });
          stage = undefined;
        }
        stage ??= await Stage.open(one.stage, (line) => say(`stage (${nameOf(one.stage)}): ${line}`));
        const outcome = await playCase(one, run, stage, options);
        outcomes.push(outcome);
        options.ended(outcome);
        if (outcome.passed && one.leaves !== 'ruins') continue;
        const keepLogs = !outcome.passed && options.keepsLogs;
        if (keepLogs) say(`the logs stay in ${stage.dir}`);
        await stage.close({ keepLogs });
        stage = undefined;
      }
    }
    return outcomes;
  } finally {
    await stage?.close({ keepLogs: false });
  }
};

const playCase = async (one: FaultCase, run: number, stage: Stage, options: CampaignOptions): Promise<Outcome> => {
  const beginMs = nowMs();
  let doing = 'begins';
  const tell = () => options.say(`${one.id}  ${elapsed(beginMs)} of about ${expected(one, options)}: ${doing}`);
  const ticking = setInterval(tell, SAY_EVERY_MS);
  const pace = { short: options.short, minutes: options.minutes ?? 60 };
  const play = new Play(stage, pace, (line) => {
    doing = line;
  });
  tell();
  try {
    stage.health.begin();
    await stage.observer.churn(true);
    await pause(WARM_UP_MS);
    const { figures, problems } = await playFaults(one, play);
    doing = 'settles and is judged';
    const restless = await stage.observer.settle(play.lastFaultMs);
    const requests = await requestsAtRest(stage);
    const toMs = nowMs();
    const judgement = together([
      ...play.judged,
      await stage.observer.judge({
        fromMs: play.judgedToMs,
        toMs,
        faults: play.faults,
        visibleP99Ms: one.visibleP99Ms,
      }),
    ]);
    const allFigures = [...figures, ...standingFigures(one, judgement, stage), requests];
    const violations = [...judgement.violations, ...restless];
    const allProblems = [...problems, ...stage.health.problems()];
    const passed = violations.length + allProblems.length === 0 && allFigures.every(holds);
    const drawn = !passed || options.draw;
    const picture = drawn ? await picturePath(one, run, options.dir) : undefined;
    if (picture !== undefined) {
      const timeline = await stage.observer.timeline(beginMs, toMs);
      const title = `${one.id}: ${one.fault}`;
      await writeFile(
        picture,
        drawTimeline({ title, fromMs: beginMs, toMs, faults: play.faults, violations, ...timeline }),
      );
    }
    return {
      id: one.id,
      fault: one.fault,
      run,
      passed,
      seconds: (nowMs() - beginMs) / 1_000,
      figures: allFigures,
      violations,
      problems: allProblems,
      shortened: one.shortened,
      messages: judgement.messages,
      unseen: judgement.unseen,
      picture,
    };
  } finally {
    clearInterval(ticking);
  }
};

/** A case that cannot be played to its end has failed, and is judged all the same. */
const playFaults = async (one: FaultCase, play: Play) => {
  try {
    return { figures: await one.run(play), problems: [] };
  } catch (error) {
    return { figures: [], problems: [error instanceof Error ? error.message : String(error)] };
  }
};

const standingFigures = (one: FaultCase, judgement: Judgement, { health }: Stage): readonly Figure[] => [
  limited('lapses', judgement.lapses, '', { atMost: one.lapsesAtMost }),
  limited('oldest refresh', judgement.oldestRefreshMs, 'ms', { below: one.oldestRefreshBelowMs }),
  {
    name: `ghosts p99 of ${judgement.deaths}`,
    value: judgement.ghostP99Ms,
    unit: 'ms',
    atMost: one.visibleP99Ms ?? 2_000,
  },
  {
    name: `truth p99 of ${judgement.changes}`,
    value: judgement.truthP99Ms,
    unit: 'ms',
    atMost: one.visibleP99Ms ?? 1_000,
  },
  { name: 'messages not seen', value: judgement.unseen, unit: '' },
  { name: 'memory', value: health.peakMemoryMiB, unit: 'MiB', below: 256 },
  { name: 'longest block of an event loop', value: health.longestBlockMs, unit: 'ms' },
  { name: 'the machine itself late, p99', value: health.machineLatenessP99Ms, unit: 'ms' },
];

const requestsAtRest = async ({ health }: Stage): Promise<Figure> => {
  const untilMs = nowMs() + EVENTS_OVER_MS;
  let value: number;
  do {
    // An operator that is gone tells nothing; that it is gone is told elsewhere.
    value = await health.requestsPerSecond(AT_REST_FOR_MS).catch(() => Number.NaN);
  } while (value > REQUESTS_PER_SECOND_MAX && nowMs() < untilMs);
  return { name: 'API requests a second at rest', value, unit: '', atMost: REQUESTS_PER_SECOND_MAX };
};

const limited = (
  name: string,
  value: number,
  unit: Figure['unit'],
  { atMost, below }: { readonly atMost?: number | undefined; readonly below?: number | undefined },
): Figure => ({
  name,
  value,
  unit,
  ...(atMost === undefined ? {} : { atMost }),
  ...(below === undefined ? {} : { below }),
});

const picturePath = async ({ id }: FaultCase, run: number, dir: string): Promise<string> => {
  await mkdir(dir, { recursive: true });
  return join(dir, `${id}-${run}.svg`);
};

const elapsed = (sinceMs: number): string => `${Math.round((nowMs() - sinceMs) / 1_000)} s`;

const expected = ({ seconds, apart }: FaultCase, { short, minutes = 60 }: CampaignOptions): string => {
  if (apart === true) return `${minutes} minutes`;
  return short ? 'a minute' : `${seconds} s`;
};

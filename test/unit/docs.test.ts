// The pages that people read, held to the tree: links lead somewhere, and every file, flag, annotation and metric they
// name exists. What the pages say about them is not judged here.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createProgram } from '../../src/cli/program.ts';
import { configSchema, flagOf, variableOf } from '../../src/config.ts';
import { ANNOTATIONS, NAMESPACE_ANNOTATIONS, RESOURCE_ANNOTATIONS } from '../../src/domain/annotations.ts';
import { CONDITION_REASONS } from '../../src/domain/crd-status-schema.ts';

const root = join(import.meta.dirname, '../..');
const pages = ['README.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: root })].toSorted();
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const tree = globSync(['src/**', 'test/**', 'hack/**', 'docs/**'], { cwd: root });
const baseNames = new Set(tree.map((path) => basename(path)));

const settings = Object.keys(configSchema({}).shape);
const program = createProgram({ environment: {}, print() {}, complain() {}, signal: new AbortController().signal });
const flagsOf = (command: Command): readonly string[] => [
  ...command.options.flatMap(({ long }) => long ?? []),
  ...command.commands.flatMap(flagsOf),
];
/** The last three are Node's, set in `bin/rollcall`. */
const flags = new Set([
  ...settings.map((setting) => `--${flagOf(setting)}`),
  ...flagsOf(program),
  '--help',
  '--max-semi-space-size',
  '--max-old-space-size',
  '--heap-growing-percent',
]);
const variables = new Set([...settings.map(variableOf), 'ROLLCALL_CONFIG']);
/** Of the development tools, and the passwords of the example's users. */
const OTHER_VARIABLES = new Set(['ROLLCALL_FULL', 'ROLLCALL_NATS_PASSWORD', 'ROLLCALL_NATS_SETUP_PASSWORD']);
const annotations = new Set(
  [...ANNOTATIONS, ...NAMESPACE_ANNOTATIONS, ...RESOURCE_ANNOTATIONS].map(({ name }) => `rollcall.dev/${name}`),
);
/** The API group, the name events come from, what the demo's nodes listen to, and the readiness gate. */
const OTHER_NAMES = new Set([
  'rollcall.dev/v1alpha1',
  'rollcall.dev/operator',
  'rollcall.dev/demo-ready',
  'rollcall.dev/registered',
]);

const METRIC = /(?:rollcall|workqueue|leader_election|controller_runtime|rest_client)_[a-z_]+/g;

/** Without fenced blocks: those hold output and other programs' flags. */
const proseOf = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '');
const spansOf = (text: string): readonly string[] =>
  [...proseOf(text).matchAll(/`([^`\n]+)`/g)].map(([, span]) => span ?? '');

/** As GitHub makes them of headings. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...proseOf(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

const brokenLinks = (path: string): readonly string[] =>
  [...proseOf(textOf(path)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file = '', anchor] = target.split('#');
      const found = file === '' ? path : join(dirname(path), file);
      if (!existsSync(join(root, found))) return true;
      return anchor !== undefined && !anchorsOf(textOf(found)).has(anchor);
    });

/** `src/...` and the like, and bare names of TypeScript files. Globs and placeholders name nothing in particular. */
const missingFiles = (path: string): readonly string[] =>
  spansOf(textOf(path))
    .filter((span) => !/[*{<\s]/.test(span))
    .filter((span) => {
      if (/^(src|test|hack|docs|crds|manifests|examples)\//.test(span)) return !existsSync(join(root, span));
      return /^[a-z0-9.-]+\.ts$/.test(span) && !baseNames.has(span);
    });

const matchesIn = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map(([match]) => match);

describe.each(pages)('%s', (path) => {
  test('links lead somewhere', () => {
    expect(brokenLinks(path)).toEqual([]);
  });

  test('names files that exist', () => {
    expect(missingFiles(path)).toEqual([]);
  });

  test('names flags and variables that exist', () => {
    const named = spansOf(textOf(path)).flatMap((span) => matchesIn(span, /^--[a-z][a-z-]*(?![a-z.-])/g));
    expect(named.filter((flag) => !flags.has(flag))).toEqual([]);
    const told = matchesIn(textOf(path), /\bROLLCALL_[A-Z_]*[A-Z]\b(?!_?\*)/g);
    expect(told.filter((name) => !variables.has(name) && !OTHER_VARIABLES.has(name))).toEqual([]);
  });

  test('names annotations that exist', () => {
    const named = matchesIn(textOf(path), /(?<!\.)\brollcall\.dev\/[a-z][a-z0-9-]*[a-z0-9]/g);
    expect(named.filter((name) => !annotations.has(name) && !OTHER_NAMES.has(name))).toEqual([]);
  });

  test('names metrics that exist', () => {
    const known = textOf('src/telemetry/metrics.ts');
    const named = spansOf(textOf(path)).flatMap((span) => matchesIn(span, new RegExp(`^${METRIC.source}`, 'g')));
    expect(named.filter((name) => !known.includes(`'${name}'`))).toEqual([]);
  });
});

test('the page for who is in trouble names every reason that a condition may give', () => {
  const page = textOf('docs/troubleshooting.md');
  const fine = ['NoConflict', 'AsExpected'];
  const reasons = Object.values(CONDITION_REASONS).flatMap((byStatus) => Object.values(byStatus).flat<string[]>());
  expect(reasons.filter((reason) => !fine.includes(reason) && !page.includes(reason))).toEqual([]);
});

test.each(globSync('manifests/alerts/*.yaml', { cwd: root }))('%s alerts on metrics that exist', (path) => {
  const { groups } = parse(textOf(path)) as {
    groups: readonly { rules: readonly { alert: string; expr: string }[] }[];
  };
  const known = textOf('src/telemetry/metrics.ts');
  const named = groups.flatMap(({ rules }) => rules.flatMap(({ expr }) => matchesIn(expr, METRIC)));
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !known.includes(`'${name}'`))).toEqual([]);
});

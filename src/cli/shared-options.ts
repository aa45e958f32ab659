// The operator's settings as options of commands: flag, variable, file and default are those of the one schema, so a
// command that is run like the operator sees what the operator sees.

import { type Command, Option } from 'commander';
import { type Config, configSchema, flagOf, variableOf } from '../config.ts';
import { readConfig } from '../config-sources.ts';
import { type Io, UsageError } from './command.ts';

export type Setting = keyof Config;

/** How NATS and the bucket are reached. */
export const REGISTRY_SETTINGS: readonly Setting[] = [
  'natsUrl',
  'natsCreds',
  'natsNkey',
  'natsUser',
  'natsPasswordFile',
  'natsTokenFile',
  'natsCa',
  'natsCert',
  'natsKey',
  'natsTlsFirst',
  'bucket',
];

export const CLUSTER_SETTINGS: readonly Setting[] = ['kubeconfig', 'context'];

/** Of no meaning to commands that look on: how the operator serves, logs, and keeps its bucket. */
const OPERATOR_ALONE: readonly string[] = [
  'bucketPolicy',
  'bucketReplicas',
  'bucketStorage',
  'metricsAddr',
  'healthAddr',
  'dryRun',
  'logLevel',
];

const REPEATABLE: readonly string[] = ['natsUrl', 'namespace', 'excludeNamespace', 'defaultMetadataFromLabels'];

const isSetting = (name: string, names: readonly string[]): name is Setting => names.includes(name);

export const allSettings = (environment: NodeJS.ProcessEnv): readonly Setting[] => {
  const names = Object.keys(configSchema(environment).shape);
  return names.filter((name): name is Setting => isSetting(name, names));
};

/** What decides about keys, beside the connections: with the operator's values a command decides as it does. */
export const ruleSettings = (environment: NodeJS.ProcessEnv): readonly Setting[] => {
  const others: readonly string[] = [...OPERATOR_ALONE, ...REGISTRY_SETTINGS, ...CLUSTER_SETTINGS];
  return allSettings(environment).filter((name) => !others.includes(name));
};

/** Adds the flags of these settings, and `--config`. */
export const addSettings = (
  command: Command,
  environment: NodeJS.ProcessEnv,
  groups: readonly (readonly [heading: string, settings: readonly Setting[]])[],
): Command => {
  const { shape } = configSchema(environment);
  const file = new Option('--config <file>', 'YAML file with settings, by their names in lowerCamelCase');
  command.addOption(file.helpGroup(groups[0]?.[0] ?? ''));
  for (const [heading, settings] of groups) {
    for (const setting of settings) {
      const schema = shape[setting];
      const { data: ifAbsent } = schema.safeParse(undefined);
      // `--nats-tls-first` alone says true.
      const value = typeof ifAbsent === 'boolean' ? '[true|false]' : '<value>';
      const byDefault = shown(ifAbsent) === '' ? '' : `default ${shown(ifAbsent)}, `;
      const about = `${schema.description ?? ''} (${byDefault}${variableOf(setting)})`;
      const option = new Option(`--${flagOf(setting)} ${value}`, about).helpGroup(heading);
      if (REPEATABLE.includes(setting)) {
        option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), ...value.split(',')]);
      }
      command.addOption(option);
    }
  }
  return command;
};

const shown = (value: unknown): string => {
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
};

/** `flags` as commander gives them; those that are no setting of `settings` are left to the command. @throws UsageError */
export const configOf = (
  flags: Readonly<Record<string, unknown>>,
  settings: readonly Setting[],
  { environment }: Pick<Io, 'environment'>,
): Config => {
  const own = Object.entries(flags).filter(([name]) => name === 'config' || isSetting(name, settings));
  const result = readConfig(Object.fromEntries(own), environment);
  if (result.kind === 'valid') return result.config;
  const heading = result.problems.length === 1 ? 'a setting is wrong' : 'settings are wrong';
  throw new UsageError([heading, ...result.problems.map((problem) => `  ${problem}`)].join('\n'));
};

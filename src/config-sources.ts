// Reads the settings from flags, environment and file, in that precedence, and names every problem at once with the
// place it came from. What a setting means is `config.ts`.

import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { type Config, configSchema, flagOf, variableOf } from './config.ts';

export type ConfigResult =
  | { readonly kind: 'valid'; readonly config: Config }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

/** `flags`: settings by their name in the schema, as given on the command line. */
export const readConfig = (flags: Readonly<Record<string, unknown>>, environment: NodeJS.ProcessEnv): ConfigResult => {
  const schema = configSchema(environment);
  const settings = Object.keys(schema.shape);
  const problems: string[] = [];
  const raw: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  const put = (setting: string, value: unknown, origin: string) => {
    raw[setting] = value;
    origins[setting] = origin;
  };
  const file = flags['config'] ?? environment['ROLLCALL_CONFIG'];
  if (typeof file === 'string' && file !== '') {
    for (const [setting, value] of readFile(file, problems)) {
      // `bucket:` with nothing after it.
      if (value === null) continue;
      if (settings.includes(setting)) put(setting, value, `in ${file}`);
      else problems.push(`${setting} in ${file}: no such setting`);
    }
  }
  for (const setting of settings) {
    const value = environment[variableOf(setting)];
    // An empty variable is one that a template had nothing to put into.
    if (value !== undefined && value !== '') put(setting, value, `from ${variableOf(setting)}`);
    if (flags[setting] !== undefined) put(setting, flags[setting], `--${flagOf(setting)}`);
  }
  const parsed = schema.safeParse(raw);
  for (const issue of parsed.error?.issues ?? []) {
    const setting = String(issue.path[0] ?? '');
    const origin = origins[setting] ?? 'default';
    const place = origin.startsWith('--') ? origin : `--${flagOf(setting)} (${origin})`;
    problems.push(`${place}: ${issue.message}`);
  }
  if (problems.length > 0 || parsed.data === undefined) return { kind: 'invalid', problems };
  return { kind: 'valid', config: parsed.data };
};

const readFile = (path: string, problems: string[]): readonly [string, unknown][] => {
  try {
    const content: unknown = parseYaml(readFileSync(path, 'utf8')) ?? {};
    if (typeof content === 'object' && !Array.isArray(content) && content !== null) return Object.entries(content);
    problems.push(`--config ${path}: must be a mapping of settings to values`);
  } catch (error) {
    problems.push(`--config ${path}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
  return [];
};

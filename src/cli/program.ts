// The command line: which commands there are and what they take. Each command's work is a file of its own.

import { Command, Option } from 'commander';
import { configSchema, flagOf, variableOf } from '../config.ts';
import { VERSION } from '../version.ts';

/** Wrong input: the settings or the command line, not the world. */
const USAGE_EXIT_CODE = 2;

export const program = new Command('rollcall')
  .description('Keeps a live register of ready pods in a NATS JetStream key-value bucket.')
  .showHelpAfterError('(rollcall --help says more)')
  .showSuggestionAfterError()
  .configureHelp({ helpWidth: 110 });

const operator = program
  .command('operator')
  .description('Run the operator. Settings come from flags, ROLLCALL_* variables and --config, in that precedence.')
  .option('--config <file>', 'YAML file with settings, by their names in lowerCamelCase');

for (const [setting, schema] of Object.entries(configSchema(process.env).shape)) {
  const { data: ifAbsent } = schema.safeParse(undefined);
  // `--nats-tls-first` alone says true.
  const value = typeof ifAbsent === 'boolean' ? '[true|false]' : '<value>';
  const byDefault = ifAbsent === undefined ? '' : `default ${String(ifAbsent)}, `;
  const about = `${schema.description ?? ''} (${byDefault}${variableOf(setting)})`;
  const option = new Option(`--${flagOf(setting)} ${value}`, about);
  if (setting === 'natsUrl' || setting === 'excludeNamespace') {
    option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), ...value.split(',')]);
  }
  operator.addOption(option);
}

operator.action(async (flags: Readonly<Record<string, unknown>>) => {
  const { readConfig } = await import('../config-sources.ts');
  const result = readConfig(flags, process.env);
  if (result.kind === 'invalid') {
    process.stderr.write(`rollcall: ${result.problems.length === 1 ? 'a setting is' : 'settings are'} wrong\n`);
    for (const problem of result.problems) process.stderr.write(`  ${problem}\n`);
    process.exitCode = USAGE_EXIT_CODE;
    return;
  }
  const { runOperator } = await import('./operator-command.ts');
  process.exit(await runOperator(result.config));
});

program
  .command('version')
  .description('Print the version')
  .action(() => {
    process.stdout.write(`rollcall ${VERSION}\n`);
  });

for (const command of [program, ...program.commands]) {
  command.exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT_CODE);
  });
}

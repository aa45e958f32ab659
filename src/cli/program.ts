// The command line: which commands there are and what they take. Each command's work is a file of its own, loaded when
// it is asked for.

import { Argument, Command, CommanderError, Option } from 'commander';
import { VERSION } from '../version.ts';
import { CommandError, FORMATS, type Format, type Io, USAGE_EXIT_CODE, UsageError } from './command.ts';
import { candidates, completionText, SHELLS } from './completion.ts';
import {
  addSettings,
  allSettings,
  CLUSTER_SETTINGS,
  configOf,
  REGISTRY_SETTINGS,
  type Setting,
} from './shared-options.ts';

/** Parses and runs. Resolves with the exit code. */
export const runProgram = async (args: readonly string[], io: Io): Promise<number> => {
  let code = 0;
  const program = createProgram(io, (exitCode) => {
    code = exitCode;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
    if (!(error instanceof CommandError || error instanceof UsageError)) throw error;
    io.complain(`rollcall: ${error.message}\n`);
    return error instanceof UsageError ? USAGE_EXIT_CODE : 1;
  }
};

type Flags = Readonly<Record<string, unknown>>;
type Done = (exitCode: number) => void;

export const createProgram = (io: Io, done: Done = () => undefined): Command => {
  const program = new Command('rollcall')
    .description('Keeps a live register of ready pods in a NATS JetStream key-value bucket.')
    .showHelpAfterError('(add --help to see what there is)')
    .showSuggestionAfterError()
    .configureHelp({ helpWidth: 110 })
    .configureOutput({ writeOut: io.print, writeErr: io.complain })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  rollcall list --watch                     what is in the registry, live
  rollcall bucket check                     whether the bucket will do
  rollcall operator --kubeconfig FILE       run the operator from outside the cluster

Commands take the operator's settings: as flags, as ROLLCALL_* variables, or from a file (--config).
As a kubectl plugin it is called \`kubectl rollcall\`.`,
    );
  addOperator(program, io, done);
  addList(program, io, done);
  addBucket(program, io, done);
  addCompletion(program, io);
  program
    .command('version')
    .description('Print the version')
    .action(() => io.print(`rollcall ${VERSION}\n`));
  return program;
};

const NATS_HEADING = 'The registry (as the operator has it):';

const formatOption = (): Option =>
  new Option('-o, --output <format>', 'how to print').choices(FORMATS).default('table');

const formatOf = (flags: Flags): Format => FORMATS.find((format) => format === flags['output']) ?? 'table';

const addOperator = (program: Command, io: Io, done: Done): void => {
  const settings = allSettings(io.environment);
  const command = program
    .command('operator')
    .description('Run the operator. Settings come from flags, ROLLCALL_* variables and --config, in that precedence.');
  const isOf = (some: readonly Setting[]) => (setting: Setting) => some.includes(setting);
  const rest = settings.filter((s) => !isOf(REGISTRY_SETTINGS)(s) && !isOf(CLUSTER_SETTINGS)(s));
  addSettings(command, io.environment, [
    ['The registry:', settings.filter(isOf(REGISTRY_SETTINGS))],
    ['The cluster:', CLUSTER_SETTINGS],
    ['How it works:', rest],
  ]).addHelpText(
    'after',
    `
Examples:
  rollcall operator --kubeconfig ~/.kube/config --nats-url nats://nats:4222
  ROLLCALL_NATS_CREDS=/etc/nats.creds rollcall operator --config rollcall.yaml`,
  );
  command.action(async (flags: Flags) => {
    const config = configOf(flags, settings, io);
    const { runOperator } = await import('./operator-command.ts');
    done(await runOperator(config));
  });
};

const addList = (program: Command, io: Io, done: Done): void => {
  const command = program
    .command('list')
    .alias('ls')
    .description(
      'List what stands in the registry: status, version, age of the heartbeat, time to live, and whose it is',
    )
    .addArgument(new Argument('[service]', 'only the instances of this service'))
    .addOption(formatOption())
    .option('-w, --watch', 'go on: a live table in a terminal; one line per change in a pipe or file');
  addSettings(command, io.environment, [[NATS_HEADING, REGISTRY_SETTINGS]]).addHelpText(
    'after',
    `
Examples:
  rollcall list                            every service
  rollcall list trading-service -o json    one service, for a program
  rollcall list --watch                    a live table; Ctrl-C ends it
  rollcall list --watch | grep LAPSED      one line per change: ADDED, MODIFIED, LAPSED, REMOVED`,
  );
  command.action(async (service: string | undefined, flags: Flags) => {
    const config = configOf(flags, REGISTRY_SETTINGS, io);
    const { runList } = await import('./list-command.ts');
    done(await runList(config, { service, format: formatOf(flags), watch: flags['watch'] === true }, io));
  });
};

const addBucket = (program: Command, io: Io, done: Done): void => {
  const bucket = program.command('bucket').description('Check the bucket that is the registry, or make it right');
  const check = bucket
    .command('check')
    .description('Say whether the bucket will do, and what is to be done about it; changes nothing')
    .addOption(formatOption());
  addSettings(check, io.environment, [[NATS_HEADING, REGISTRY_SETTINGS]]).addHelpText(
    'after',
    `
Exit code: 0 it will do; 1 it will do, with a warning; 2 it will not.

Examples:
  rollcall bucket check
  rollcall bucket check --bucket registry-blue -o json`,
  );
  check.action(async (flags: Flags) => {
    const config = configOf(flags, REGISTRY_SETTINGS, io);
    const { runBucketCheck } = await import('./bucket-command.ts');
    done(await runBucketCheck(config, formatOf(flags), io));
  });

  const ensure = bucket
    .command('ensure')
    .description('Make the bucket when it is missing, and add what an existing one lacks; never takes anything away')
    .addOption(formatOption());
  const making: readonly Setting[] = ['bucketReplicas', 'bucketStorage'];
  addSettings(ensure, io.environment, [
    [NATS_HEADING, REGISTRY_SETTINGS],
    ['For a bucket that is made:', making],
  ]).addHelpText(
    'after',
    `
For an install job, with a NATS user that may make streams; the operator can then do without that right, with
--bucket-policy=Verify. Exit code as of \`bucket check\`.

Examples:
  rollcall bucket ensure --nats-creds setup.creds
  rollcall bucket ensure --bucket-replicas 3`,
  );
  ensure.action(async (flags: Flags) => {
    const config = configOf(flags, [...REGISTRY_SETTINGS, ...making], io);
    const { runBucketEnsure } = await import('./bucket-command.ts');
    done(await runBucketEnsure(config, formatOf(flags), io));
  });
};

const addCompletion = (program: Command, io: Io): void => {
  program
    .command('completion')
    .description('Print a script that completes commands and flags in a shell')
    .addArgument(new Argument('<shell>', 'whose completion').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  source <(rollcall completion bash)                                  this shell
  rollcall completion bash > /etc/bash_completion.d/rollcall          every bash
  rollcall completion zsh > "\${fpath[1]}/_rollcall"                   zsh
  rollcall completion fish > ~/.config/fish/completions/rollcall.fish fish

For \`kubectl rollcall\` put bin/kubectl-rollcall and bin/kubectl_complete-rollcall on the PATH.`,
    )
    .action((shell: string) => io.print(completionText(shell)));
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action((_words: readonly string[], _flags: Flags, command: Command) => {
      for (const { value, about } of candidates(program, command.args)) io.print(`${value}\t${about}\n`);
      io.print(':4\n');
    });
};

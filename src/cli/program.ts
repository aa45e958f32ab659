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
  ruleSettings,
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

const VERSION_LINE = `rollcall ${VERSION}`;

type Flags = Readonly<Record<string, unknown>>;
type Done = (exitCode: number) => void;

export const createProgram = (io: Io, done: Done = () => undefined): Command => {
  const program = new Command('rollcall')
    .description('Keeps a live register of ready pods in a NATS JetStream key-value bucket.')
    .version(VERSION_LINE, '-V, --version', 'print the version')
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
  rollcall explain pod/trading-1 -n rates   why a pod is or is not registered
  rollcall doctor                           what is wrong, and what to do about it
  rollcall operator --kubeconfig FILE       run the operator from outside the cluster

Commands take the operator's settings: as flags, as ROLLCALL_* variables, or from a file (--config).
As a kubectl plugin it is called \`kubectl rollcall\`.`,
    );
  addOperator(program, io, done);
  addList(program, io, done);
  addExplain(program, io, done);
  addDoctor(program, io, done);
  addBucket(program, io, done);
  addCompletion(program, io);
  program
    .command('version')
    .description('Print the version')
    .action(() => io.print(`${VERSION_LINE}\n`));
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
  rollcall operator --dry-run                        what it would do with each key now; nothing is written
  ROLLCALL_NATS_CREDS=/etc/nats.creds rollcall operator --config rollcall.yaml`,
  );
  command.action(async (flags: Flags) => {
    const config = configOf(flags, settings, io);
    if (config.dryRun) {
      const { runDryRun } = await import('./dry-run-command.ts');
      return done(await runDryRun(config, io));
    }
    const { runOperator } = await import('./operator-command.ts');
    return done(await runOperator(config, io.signal));
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

const RULES_HEADING = 'What decides (as the operator has it):';

const addExplain = (program: Command, io: Io, done: Done): void => {
  // Here the namespace is the object's, as with kubectl.
  const rules = ruleSettings(io.environment).filter((setting) => String(setting) !== 'namespace');
  const command = program
    .command('explain')
    .description(
      'Say why a pod is or is not in the registry: every rule that is asked, in order, and the one that decides',
    )
    .addArgument(
      new Argument('<object>', 'pod/NAME, deploy/NAME, sts/NAME, ds/NAME, sreg/NAME, or a key of the registry'),
    )
    .option('-n, --namespace <namespace>', "the object's namespace; absent: that of the kubeconfig's context")
    .addOption(formatOption());
  addSettings(command, io.environment, [
    ['The cluster:', CLUSTER_SETTINGS],
    [NATS_HEADING, REGISTRY_SETTINGS],
    [RULES_HEADING, rules],
  ]).addHelpText(
    'after',
    `
The operator itself is played through on what is there now, without writing anything, so give it the operator's settings
where those are not the defaults. It needs the right to list pods, workloads and ServiceRegistrations, and to read the
bucket; with less it says what it could not see.

Examples:
  rollcall explain pod/trading-7c9d8f6b5-x2k4m -n trading
  rollcall explain deploy/trading -n trading          each of its pods
  rollcall explain sreg/trading-service -n trading    the resource, and the pods that it selects
  rollcall explain service-instances.trading-service.trading-service-6f1d2c3b`,
  );
  command.action(async (target: string, flags: Flags) => {
    const config = configOf(flags, [...CLUSTER_SETTINGS, ...REGISTRY_SETTINGS, ...rules], io);
    const { runExplain } = await import('./explain-command.ts');
    const { namespace } = flags;
    const options = { target, namespace: typeof namespace === 'string' ? namespace : undefined };
    done(await runExplain(config, { ...options, format: formatOf(flags) }, io));
  });
};

const addDoctor = (program: Command, io: Io, done: Done): void => {
  const rules = ruleSettings(io.environment);
  const command = program
    .command('doctor')
    .description('Look at everything that Rollcall needs and does, say what is wrong, and what to do about it')
    .addOption(formatOption());
  addSettings(command, io.environment, [
    ['The cluster:', CLUSTER_SETTINGS],
    [NATS_HEADING, REGISTRY_SETTINGS],
    [RULES_HEADING, rules],
  ]).addHelpText(
    'after',
    `
Looks at the API server, the rights of the credentials given, the CRDs, the NATS server and its clock, the bucket, the
leader, other installations, and whether Ready pods and keys agree. Writes nothing.

Exit code: 0 all is well; 1 there are warnings; 2 something is broken.

Examples:
  rollcall doctor
  rollcall doctor --nats-url nats://nats:4222 -o json
  kubectl -n rollcall-system exec deploy/rollcall -- node /app/dist/main.js doctor    with the operator's own rights`,
  );
  command.action(async (flags: Flags) => {
    const config = configOf(flags, [...CLUSTER_SETTINGS, ...REGISTRY_SETTINGS, ...rules], io);
    const { runDoctor } = await import('./doctor-command.ts');
    done(await runDoctor(config, formatOf(flags), io));
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

// Completion of commands, flags and their values, from the commands themselves. The scripts for the shells only ask
// `rollcall __complete WORDS...`, whose answer is that of Cobra's programs (a candidate, a tab and a text per line, and
// `:4` for "no files"), because that is what kubectl expects of its plugins.

import type { Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Candidate = { readonly value: string; readonly about: string };

/** `words`: what stands on the line after the program's name; the last is being typed, and may be empty. */
export const candidates = (program: Command, words: readonly string[]): readonly Candidate[] => {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { command, position, pending } = walk(program, before);
  const found = pending === undefined ? atPosition(command, position, typed) : valuesOf(pending);
  return found.filter(({ value }) => value.startsWith(typed));
};

type Place = {
  readonly command: Command;
  /** How many arguments of the command stand before. */
  readonly position: number;
  /** The option whose value comes next. */
  readonly pending: Option | undefined;
};

const walk = (program: Command, words: readonly string[]): Place => {
  let command = program;
  let position = 0;
  let pending: Option | undefined;
  for (const word of words) {
    if (pending !== undefined) {
      pending = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const option = command.options.find(({ long, short }) => word === long || word === short);
      pending = option?.required === true ? option : undefined;
      continue;
    }
    const next = visible(command).find((sub) => sub.name() === word || sub.aliases().includes(word));
    if (next === undefined) position += 1;
    else command = next;
  }
  return { command, position, pending };
};

const atPosition = (command: Command, position: number, typed: string): readonly Candidate[] => {
  if (typed.startsWith('--') && typed.includes('=')) return withFlag(command, typed);
  if (typed.startsWith('-'))
    return command.options.map((option) => ({ value: flagOf(option), about: option.description }));
  const subcommands = visible(command).map((sub) => ({ value: sub.name(), about: sub.description() }));
  const words = command.registeredArguments[position]?.argChoices ?? [];
  return [...subcommands, ...words.map((value) => ({ value, about: '' }))];
};

/** `--output=js` */
const withFlag = (command: Command, typed: string): readonly Candidate[] => {
  const flag = typed.slice(0, typed.indexOf('='));
  const option = command.options.find(({ long }) => long === flag);
  return option === undefined ? [] : valuesOf(option).map(({ value, about }) => ({ value: `${flag}=${value}`, about }));
};

const valuesOf = (option: Option): readonly Candidate[] =>
  (option.argChoices ?? []).map((value) => ({ value, about: '' }));

const flagOf = ({ long, short }: Option): string => long ?? short ?? '';

const visible = (command: Command): readonly Command[] =>
  command.commands.filter((sub) => !sub.name().startsWith('__'));

/** The script for a shell. */
export const completionText = (shell: string): string => {
  switch (shell) {
    case 'zsh':
      return ZSH;
    case 'fish':
      return FISH;
    default:
      return BASH;
  }
};

const BASH = `# bash completion of rollcall
_rollcall() {
  local line IFS=$'\\n'
  COMPREPLY=()
  for line in $(rollcall __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
    case $line in :*) ;; *) COMPREPLY+=("\${line%%$'\\t'*}") ;; esac
  done
  # The shell takes "=" for a boundary: what stands before it is not to be repeated.
  case \${COMP_WORDS[COMP_CWORD-1]} in =) COMPREPLY=("\${COMPREPLY[@]#*=}") ;; esac
}
complete -o default -F _rollcall rollcall
`;

const ZSH = `#compdef rollcall
# zsh completion of rollcall
_rollcall() {
  local -a found
  local line
  for line in "\${(@f)$(rollcall __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ $line == :* || -z $line ]] || found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe rollcall found
}
if [ "$funcstack[1]" = "_rollcall" ]; then _rollcall "$@"; else compdef _rollcall rollcall; fi
`;

const FISH = `# fish completion of rollcall
function __rollcall_complete
  set -l words (commandline -opc)
  rollcall __complete -- $words[2..-1] (commandline -ct) 2>/dev/null | string match -v ':*'
end
complete -c rollcall -f -a '(__rollcall_complete)'
`;

#!/usr/bin/env node
// The front door: reads the command line and hands over to one command. What an operator is made of is `operator.ts`;
// how it is put together from real parts is `cli/operator-command.ts`.

import { program } from './cli/program.ts';

await program.parseAsync(process.argv);

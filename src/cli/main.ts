#!/usr/bin/env node
/**
 * The command `varve`. Data goes to stdout, words to stderr; exit code 0 is done, 1 failed, 2
 * misused. Each subcommand is a file in commands/.
 */
import { createRequire } from 'node:module'
import { Command } from 'commander'
import { addBackup, addRestore } from './commands/backup.js'
import { addBench } from './commands/bench.js'
import { addCheckpoint } from './commands/checkpoint.js'
import { addCompact } from './commands/compact.js'
import { addCount } from './commands/count.js'
import { addDelete } from './commands/delete.js'
import { addDemo } from './commands/demo.js'
import { addExport } from './commands/export.js'
import { addGet } from './commands/get.js'
import { addImport } from './commands/import.js'
import { addInfo } from './commands/info.js'
import { addPut } from './commands/put.js'
import { addRepair } from './commands/repair.js'
import { addScan } from './commands/scan.js'
import { addStats } from './commands/stats.js'
import { addVerify } from './commands/verify.js'
import { reportFailure } from './failure.js'

// By the package's own name, wherever this file was compiled to.
const { version } = createRequire(import.meta.url)('varve/package.json') as { version: string }

const program = new Command('varve')
  .description('Looks into Varve stores, and moves data into and out of them.')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(--help says what is accepted)')
  .addHelpText('after', '\nExit code: 0 done, 1 failed, 2 misused.')

addGet(program)
addPut(program)
addDelete(program)
addScan(program)
addCount(program)
addInfo(program)
addStats(program)
addVerify(program)
addCheckpoint(program)
addCompact(program)
addBackup(program)
addRestore(program)
addRepair(program)
addImport(program)
addExport(program)
addBench(program)
addDemo(program)

// A failed write reaches whoever waits for it; without a listener it would also end the process.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportFailure(error)
}

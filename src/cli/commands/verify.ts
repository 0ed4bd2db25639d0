/** varve verify: is every byte of a store what was written? */
import type { Command } from 'commander'
import { StoreError } from '../../base/errors.js'
import type { Problem, VerifyReport } from '../../store/index.js'
import { Failure, UsageError } from '../failure.js'
import { jsonOption, parseCount, pathDescription } from '../options.js'
import { printJson, printLines, say } from '../output.js'
import { Progress, updateOf } from '../progress.js'
import { counted, formatBytes, formatMs } from '../quantities.js'
import { openForReading } from '../store-access.js'
import { textAsLine } from '../text.js'

interface VerifyCommandOptions {
  readonly maxMegabytes?: number
  readonly json?: true
}

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('check every byte that has a checksum, the indexes and the counts')
    .argument('<path>', pathDescription)
    .option('--max-megabytes <n>', 'read no more than so many MB a second', parseCount)
    .addOption(jsonOption('one object: ok, records, problems'))
    .addHelpText(
      'after',
      `
Changes nothing, and others may go on writing. Prints a line for each problem: file, byte offset, and
what is wrong there. Exit code 0 where the store is whole, 1 where it is not.`,
    )
    .action(verifyStore)
}

async function verifyStore(path: string, options: VerifyCommandOptions): Promise<void> {
  if (options.maxMegabytes === 0) throw new UsageError('--max-megabytes must be 1 or more')
  const startedAtMs = performance.now()
  const { bytes, report } = await reportOn(path, options)
  const durationMs = performance.now() - startedAtMs
  const { ok, problems, records } = report
  if (options.json === true) await printJson(report)
  else await printLines(problems.map(problemLine))
  if (!ok) throw new Failure(`${counted(problems.length, 'problem')} found`)
  say(`whole: ${counted(records, 'record')}, ${formatBytes(bytes)} read in ${formatMs(durationMs)}`)
}

async function reportOn(
  path: string,
  options: VerifyCommandOptions,
): Promise<{ bytes: number; report: VerifyReport }> {
  let bytes = 0
  try {
    await using store = openForReading(path)
    using progress = new Progress('verify', 100)
    const update = updateOf(progress)
    const report = await store.verify({
      onProgress: (at) => {
        bytes = at.bytes
        update(at)
      },
      ...(options.maxMegabytes ? { maxBytesPerSecond: options.maxMegabytes * 1e6 } : {}),
    })
    return { bytes, report }
  } catch (error) {
    return { bytes, report: { ok: false, records: 0, problems: [damageOf(error)] } }
  }
}

/** What kept a store from being opened, where that is damage. Throws anything else. */
function damageOf(error: unknown): Problem {
  const isDamage =
    error instanceof StoreError && (error.code === 'STORE_CORRUPT' || error.code === 'STORE_FORMAT')
  if (!isDamage || error.details.file === undefined) throw error
  const { address, file, what } = error.details
  return { file, address: address ?? 0, what: what ?? error.message }
}

export function problemLine({ address, file, what }: Problem): string {
  return `${textAsLine(file)}:${address}: ${what}`
}

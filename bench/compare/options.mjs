import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { reopenRow, rows } from './rows.mjs'

const allEngineNames = ['varve', 'map', 'lmdb', 'classic-level', 'better-sqlite3']
const allRowNames = [...rows, reopenRow].map(({ name }) => name)

const usage = `Usage: node bench/run.mjs [options]

  --records N      records in each store, in whole thousands (1000000)
  --rounds N       rounds, of which the table shows the medians (5)
  --engines A,B    of ${allEngineNames.join(', ')};
                   the first is what the others are compared with
  --rows A,B       of ${allRowNames.join(', ')}
  --dir PATH       where to put the stores, which are removed at the end
                   (the system's temporary directory)
  --json           print all measurements as JSON
  --help`

/** @returns the plan for the run; ends the process where the command line asks for help or is wrong */
export function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        records: { type: 'string', default: '1000000' },
        rounds: { type: 'string', default: '5' },
        engines: { type: 'string', default: allEngineNames.join() },
        rows: { type: 'string', default: allRowNames.join() },
        dir: { type: 'string', default: tmpdir() },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    return {
      // The rows take quarters, fifths and tenths of the records.
      recordCount: readMultiple('records', values.records, 1000),
      roundCount: readMultiple('rounds', values.rounds, 1),
      engineNames: readNames('engines', values.engines, allEngineNames),
      rowNames: readNames('rows', values.rows, allRowNames),
      parentDirectory: values.dir,
      isJson: values.json,
    }
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`)
    process.exit(2)
  }
}

/**
 * @param {string} option its name, for the message
 * @param {string} text
 * @param {number} unit what the number must be a multiple of
 */
export function readMultiple(option, text, unit) {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0 && count % unit === 0) return count
  throw new RangeError(`--${option} must be a positive multiple of ${unit}, not '${text}'`)
}

function readNames(option, text, allNames) {
  const names = text.split(',')
  const unknown = names.find((name) => !allNames.includes(name))
  if (unknown === undefined) return names
  throw new RangeError(`--${option}: '${unknown}' is none of ${allNames.join(', ')}`)
}

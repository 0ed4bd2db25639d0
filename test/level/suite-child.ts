/** Runs abstract-level's own suite on databases in a directory, and prints what it finds as TAP. */
import { mkdtempSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type DatabaseOptions, type OpenOptions, VarveLevel } from '../../src/level/index.js'

const require = createRequire(import.meta.url)
const directory = process.argv[2]

/** The suite compares the options that a database was opened with: a smaller segment is not one of them. */
class SmallLevel extends VarveLevel {
  protected override _open(options: OpenOptions): Promise<void> {
    return super._open({ ...options, segmentSizeBytes: 2 ** 20 })
  }
}

const suite = require('abstract-level/test') as (options: object) => void
const test: unknown = require('tape')

suite({
  test,
  factory: (options?: DatabaseOptions<string, string>) =>
    new SmallLevel(mkdtempSync(join(directory, 'suite-')), options),
})

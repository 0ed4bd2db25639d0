/**
 * Goal: the store gives the answers that a Map would, whatever the encodings, files and sizes.
 * Method: random operations, keyspaces, batches, conditions, reopening and copies of the live
 *   directory (another boot, from a checkpoint or not), ranges, iterations held across writes, snapshots,
 *   and exports of them into another store among them, on a store and on a model; shrunk where they differ.
 * Properties checked: every answer; versions and sequences rise; counts and sizes; nothing of it
 *   changes by closing, by opening, or by reading the log again.
 */
import { describe, test } from 'node:test'
import { removeDirectory, withDirectory } from '../support/directory.js'
import { fc } from '../support/properties.js'
import { isThorough } from '../support/thorough.js'
import { type EncodingLabel, encodingLabels, type KeyEncodingLabel, keyEncodings } from './data.js'
import { operations, type Space } from './operations.js'
import { World } from './world.js'

const mebibyte = 2 ** 20

interface Setup {
  readonly encoding: EncodingLabel
  readonly keyEncoding: KeyEncodingLabel
  readonly mapping: 'mmap' | 'file' | ':memory:'
  readonly segmentSizeBytes: number
  readonly runs: number
  readonly length: number
}

async function check(setup: Setup): Promise<void> {
  const { encoding, keyEncoding, mapping, segmentSizeBytes } = setup
  const spaces: Space[] = [
    { name: '', encoding, keyEncoding },
    { name: 'one', encoding: 'binary', keyEncoding: 'binary' },
    { name: 'two', encoding, keyEncoding },
  ]
  const hasFiles = mapping !== ':memory:'
  // What it does, and when, is an operation here.
  const base = { segmentSizeBytes, autoCompact: false }
  const options = hasFiles ? { ...base, mapping } : base
  const runs = operations(spaces, { segmentSizeBytes, hasFiles, length: setup.length })
  const property = fc.asyncProperty(runs, (list) =>
    withDirectory(async (parent) => {
      const world = new World(hasFiles ? `${parent}/store` : ':memory:', spaces, options)
      try {
        await world.run(list)
      } finally {
        await world.close()
        removeDirectory(parent)
      }
    }),
  )
  await fc.assert(property, {
    includeErrorInReport: true,
    numRuns: isThorough ? setup.runs * 80 : setup.runs,
    // Of a failure that takes long to shrink, what was found so far is told.
    interruptAfterTimeLimit: isThorough ? 600_000 : 30_000,
  })
}

describe('the store answers as the model does', () => {
  for (const mapping of ['mmap', 'file', ':memory:'] as const) {
    for (const keyEncoding of keyEncodings) {
      for (const encoding of encodingLabels) {
        const base = { encoding, keyEncoding, mapping }
        test(`${mapping}, ${keyEncoding} keys, ${encoding} values, segments of 1 MiB`, () =>
          check({
            ...base,
            segmentSizeBytes: mebibyte,
            runs: mapping === 'mmap' ? 2 : 1,
            length: 60,
          }))
      }
    }
  }

  // Each key and each value encoding once; segments of 64 MiB are slow to make in every run.
  for (const mapping of ['mmap', 'file', ':memory:'] as const) {
    encodingLabels.forEach((encoding, index) => {
      const keyEncoding = keyEncodings[index % keyEncodings.length]
      test(`${mapping}, ${keyEncoding} keys, ${encoding} values, segments of 64 MiB`, () =>
        check({
          ...{ encoding, keyEncoding, mapping },
          segmentSizeBytes: 64 * mebibyte,
          runs: 1,
          length: 30,
        }))
    })
  }
})

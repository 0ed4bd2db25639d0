import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { runChild } from './child.mjs'
import { median } from './statistics.mjs'

const roundModule = join(import.meta.dirname, 'round.mjs')

/**
 * @typedef {object} Cell what the rounds of one engine gave for one row
 * @property {number} operationCount in each round
 * @property {number[]} durationsNs of each round
 * @property {number} medianNs for one operation, as the two below
 * @property {number} minNs
 * @property {number} maxNs
 * @property {string} hash of the values read
 */

/**
 * Runs the rounds, each with every engine in turn, so that a slow minute of the machine falls on
 * all of them.
 *
 * @param {object} plan
 * @param {string[]} plan.engineNames
 * @param {string[]} plan.rowNames
 * @param {number} plan.recordCount
 * @param {number} plan.roundCount
 * @param {string} plan.directory
 * @param {(progress: string) => void} report
 */
export async function measureEngines(plan, report) {
  const { engineNames, rowNames, recordCount, roundCount } = plan
  const versions = {}
  const unavailable = {}
  const cells = Object.fromEntries(rowNames.map((rowName) => [rowName, {}]))

  for (let round = 1; round <= roundCount; round++) {
    for (const engineName of engineNames.filter((name) => !(name in unavailable))) {
      report(`round ${round} of ${roundCount}: ${engineName}`)
      const directory = join(plan.directory, engineName)
      const result = await runChild(roundModule, { engineName, recordCount, rowNames, directory })
      rmSync(directory, { recursive: true, force: true })
      if (result.unavailable) {
        unavailable[engineName] = result.unavailable
        continue
      }
      versions[engineName] = result.version
      for (const measurement of result.measurements) {
        const row = cells[measurement.rowName]
        if (row !== undefined) row[engineName] = extendCell(row[engineName], measurement)
      }
    }
  }
  return { versions, unavailable, cells }
}

function extendCell(cell, { rowName, operationCount, durationNs, hash }) {
  if (cell !== undefined && cell.hash !== hash) {
    throw new Error(`${rowName}: read other values than in an earlier round`)
  }
  const durationsNs = [...(cell?.durationsNs ?? []), durationNs]
  return {
    operationCount,
    durationsNs,
    medianNs: median(durationsNs) / operationCount,
    minNs: Math.min(...durationsNs) / operationCount,
    maxNs: Math.max(...durationsNs) / operationCount,
    hash,
  }
}

/**
 * The rows whose values were not the same in every engine.
 *
 * @param {Record<string, Record<string, Cell>>} cells
 */
export function findDisagreements(cells) {
  return Object.entries(cells).flatMap(([rowName, row]) => {
    if (new Set(Object.values(row).map(({ hash }) => hash)).size <= 1) return []
    const hashes = Object.entries(row).map(([engineName, { hash }]) => `${engineName} ${hash}`)
    return [`${rowName}: the engines read different values (${hashes.join(', ')})`]
  })
}

/**
 * Goal: one store for any number of threads and processes: whatever several clients do at the same
 *   time, each of them could have done alone, one after the other.
 * Method: two to six clients, threads and processes, with seeded random operations on a few keys;
 *   some are killed at random moments, others join; a last reader comes when all are gone. Every
 *   client keeps what it was told and when. VARVE_SEED=n runs the one run with that seed.
 * Properties checked: the history of every key is linearizable, versions and sequences rise with it,
 *   batches are never seen by half, no acknowledged key is missing, the counts add up; sometimes the
 *   same of a copy of the directory, which is a store of another boot.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { withDirectory } from '../support/directory.js'
import { HostPool } from './hosts.js'
import { type RunReport, runClients } from './run.js'

const givenSeed = process.env.VARVE_SEED === undefined ? undefined : Number(process.env.VARVE_SEED)
const runCount = Number(process.env.VARVE_SHARING_RUNS ?? 25)

function seedsOf(first: number, count: number): number[] {
  if (givenSeed !== undefined) return [givenSeed]
  return Array.from({ length: count }, (_, index) => first + index)
}

describe('clients of a shared store', () => {
  const pool = new HostPool()
  after(() => pool.close())

  async function runAll(count: number, kills: boolean, first: number): Promise<RunReport[]> {
    const reports: RunReport[] = []
    for (const seed of seedsOf(first, count)) {
      const report = await withDirectory((directory) =>
        runClients(pool, { seed, directory: join(directory, 'run'), kills }),
      )
      assert.equal(
        report.problems[0],
        undefined,
        `VARVE_SEED=${seed}: ${report.problems.join('\n')}`,
      )
      reports.push(report)
    }
    return reports
  }

  const sum = (reports: readonly RunReport[], of: (report: RunReport) => number): number =>
    reports.reduce((before, report) => before + of(report), 0)

  test('see one history of every key', async (t) => {
    const first = Date.now() % 1_000_000
    const reports = await runAll(Math.ceil(runCount / 10), false, first)
    const operations = sum(reports, (report) => report.operations)
    t.diagnostic(`seeds from ${first}: ${reports.length} runs, ${operations} operations`)
    assert.ok(operations > reports.length * 100, `only ${operations} operations`)
  })

  test('see one history of every key, whoever is killed among them', async (t) => {
    const first = (Date.now() % 1_000_000) + 1_000_000
    const reports = await runAll(runCount, true, first)
    const operations = sum(reports, (report) => report.operations)
    const kills = sum(reports, (report) => report.kills)
    const backups = sum(reports, (report) => report.backups)
    const interrupted = sum(reports, (report) => report.interrupted)
    t.diagnostic(
      `seeds from ${first}: ${reports.length} runs, ${operations} operations, ${kills} kills, ` +
        `${interrupted} of them within an operation, ${backups} backups`,
    )
    assert.ok(backups > 0 || reports.length < 20)
    assert.ok(kills >= reports.length)
    assert.ok(operations > reports.length * 100, `only ${operations} operations`)
  })
})

/**
 * Goal: for everything that an opening can find there is exactly one row of each decision table.
 * Method: all combinations of all facts; and the tables of docs/durability.md.
 * Properties checked: exactly one row takes each combination; every row takes some; `decide` finds it,
 *   and looks at nothing that it does not depend on; the page has the rows as the code has them; every
 *   hazard of crashes is among the cases, and the page names a test for it.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  decide,
  type FactName,
  type Facts,
  factValues,
  type Look,
  type Row,
  tables,
  takes,
} from '../../src/recovery/decision.js'

const names = Object.keys(factValues) as FactName[]

/** Every combination of the facts that the rows of a table ask for. */
function* combinations(asked: readonly FactName[]): Generator<Partial<Facts>> {
  if (asked.length === 0) {
    yield {}
    return
  }
  const [name, ...rest] = asked
  for (const value of factValues[name]) {
    for (const others of combinations(rest)) yield { [name]: value, ...others }
  }
}

function askedBy(rows: readonly Row[]): FactName[] {
  return names.filter((name) => rows.some(({ when }) => when[name] !== undefined))
}

function takesAll({ when }: Row, facts: Partial<Facts>): boolean {
  return names.every((name) => takes(when[name], facts[name] ?? ''))
}

/** As the code looks: at one fact after the other, and notes which. */
function lookAt(facts: Partial<Facts>, seen: FactName[]): Look {
  return Object.fromEntries(
    names.map((name) => [
      name,
      () => {
        seen.push(name)
        return facts[name]
      },
    ]),
  ) as Look
}

const text = readFileSync(join(process.cwd(), 'docs/durability.md'), 'utf8')

/** The rows of the table of the page whose first column has these labels. */
function pageRow(label: string): string[] {
  const lines = text.split('\n').filter((line) => line.startsWith(`| \`${label}\` |`))
  assert.equal(lines.length, 1, `docs/durability.md has one row ${label}`)
  return lines[0]
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

function wordsOf({ when }: Row): string {
  const facts = Object.entries(when).map(
    ([name, values]) => `${name}: ${Array.isArray(values) ? values.join(' or ') : values}`,
  )
  return facts.join('; ')
}

for (const [table, rows] of Object.entries(tables) as [string, readonly Row[]][]) {
  describe(`the table ${table}`, () => {
    const asked = askedBy(rows)

    test('has exactly one row for every combination of facts', () => {
      const taken = new Map(rows.map(({ label }) => [label, 0]))
      let count = 0
      for (const facts of combinations(asked)) {
        count++
        const found = rows.filter((row) => takesAll(row, facts))
        assert.equal(found.length, 1, `${JSON.stringify(facts)}: ${found.map((r) => r.label)}`)
        const [{ label }] = found
        taken.set(label, (taken.get(label) ?? 0) + 1)
        assert.equal(decide(rows, lookAt(facts, [])).label, label)
      }
      assert.equal(
        count,
        asked.reduce((product, name) => product * factValues[name].length, 1),
      )
      for (const [label, times] of taken) assert.ok(times > 0, `${label} takes something`)
    })

    test('is asked in order, and only for what it depends on', () => {
      for (const facts of combinations(asked)) {
        const seen: FactName[] = []
        const { when } = decide(rows, lookAt(facts, seen))
        assert.deepEqual(
          seen,
          names.filter((name) => seen.includes(name)),
        )
        // A fact that the row does not name is looked at only where another row was still possible.
        const needless = seen.filter((name, index) => {
          const known = Object.fromEntries(seen.slice(0, index).map((n) => [n, facts[n]]))
          const possible = rows.filter((row) =>
            names.every((n) => known[n] === undefined || takes(row.when[n], known[n])),
          )
          return possible.every((row) => row.when[name] === undefined)
        })
        assert.deepEqual(needless, [], JSON.stringify(when))
      }
    })

    test('stands in docs/durability.md as it is', () => {
      for (const row of rows) {
        const [, when, action, why] = pageRow(row.label)
        assert.equal(when, wordsOf(row), row.label)
        assert.equal(action, row.action, row.label)
        const hazards = row.hazards === undefined ? '' : ` (${row.hazards.join(', ')})`
        assert.equal(why, `${row.why}${hazards}`, row.label)
      }
    })
  })
}

describe('the hazards of crashes', () => {
  test('are among the cases, each with a test that the page names', () => {
    const all = Object.values(tables).flatMap((rows: readonly Row[]) => rows)
    const hazards = [...new Set(all.flatMap((row) => row.hazards ?? []))].sort()
    assert.deepEqual(hazards, ['C1', 'C2', 'C3', 'C4'])
    for (const hazard of hazards) {
      const line = text.split('\n').find((candidate) => candidate.startsWith(`| ${hazard} |`))
      assert.ok(line !== undefined, `docs/durability.md has a row for ${hazard}`)
      const files = Array.from(line.matchAll(/`test\/([\w/-]+)`: ([^|;]+)/g))
      assert.ok(files.length > 0, `it names a test for ${hazard}`)
      for (const [, file, title] of files) {
        const path = join(process.cwd(), 'test', `${file}.test.ts`)
        assert.ok(existsSync(path), path)
        assert.ok(readFileSync(path, 'utf8').includes(title.trim()), `${path} has "${title}"`)
      }
    }
  })
})

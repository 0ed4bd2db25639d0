/**
 * Goal: what docs/coming-from.md shows works, and gives what it says.
 * Method: every block of code of the page is run as it stands, in a directory of its own, all of them in
 *   one process; what stands behind an arrow is compared with what the line gives.
 * Properties checked: every value behind an arrow; that there are some in every block; nothing on stderr.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/directory.js'
import { runExample } from '../support/example.js'

const page = readFileSync(join(process.cwd(), 'docs/coming-from.md'), 'utf8')

/** The blocks of the page with the title of their section. */
function blocks(): { readonly title: string; readonly code: string }[] {
  return page.split(/^## /m).flatMap((section) => {
    const title = section.slice(0, section.indexOf('\n'))
    return Array.from(section.matchAll(/^```js\n(.*?)^```$/gms), ([, code]) => ({ title, code }))
  })
}

const withValue = /^(?<words>.*?)\s*\/\/ (?:.* )?→ (?<value>.*)$/

/** The code with a comparison in each line that has an arrow, and how many those are. */
function checked(code: string): { readonly code: string; readonly count: number } {
  let count = 0
  let statement: string | undefined
  const lines = code.split('\n').map((line) => {
    const found = withValue.exec(line)
    if (found?.groups === undefined) {
      if (statement === undefined) return line
      // A call over several lines ends where its brackets do.
      const end = `${line}, ${statement})`
      statement = undefined
      return end
    }
    count++
    const { value, words } = found.groups
    if (/[[(]$/.test(words)) {
      statement = value
      return `;same(${words}`
    }
    return `;same(${words}, ${value})`
  })
  return { code: lines.join('\n'), count }
}

const same = `import assert from 'node:assert/strict'
const same = (actual, expected) => {
  if (actual instanceof Float32Array) assert.deepEqual([...actual], [...expected])
  else assert.deepEqual(actual, expected)
}
`

/** Runs each of the files in a directory of its own; says which one fails. */
const runner = (count: number): string => `import { mkdirSync } from 'node:fs'
for (let index = 0; index < ${count}; index++) {
  mkdirSync(new URL(index + '/', import.meta.url))
  process.chdir(new URL(index + '/', import.meta.url).pathname)
  await import('./block-' + index + '.mjs')
  console.log(index)
}
`

test('the code for those who come from elsewhere runs, and gives what it says', (t) => {
  const directory = temporaryDirectory(t)
  const all = blocks()
  for (const [index, { code, title }] of all.entries()) {
    const program = checked(code)
    assert.ok(program.count >= 2, `values to compare: ${title}`)
    writeFileSync(join(directory, `block-${index}.mjs`), `${same}${program.code}`)
  }
  const printed = runExample(directory, runner(all.length))
  assert.equal(printed, all.map((_, index) => `${index}\n`).join(''))
})

test('every code in the page is in a block that is run', () => {
  assert.equal(blocks().length, page.split(/^```\w+$/m).length - 1)
  assert.ok(blocks().length >= 9)
})

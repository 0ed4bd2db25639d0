/**
 * Goal: what docs/coming-from.md shows works, and gives what it says.
 * Method: every block of code of the page is run as it stands, in a directory of its own; what stands
 *   behind an arrow is compared with what the line gives.
 * Properties checked: every value behind an arrow; that there are some in every block; nothing on stderr.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
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

for (const [index, { code, title }] of blocks().entries()) {
  test(`the code for those who come from ${title} runs (block ${index + 1})`, (t) => {
    const program = checked(code)
    assert.ok(program.count >= 2, 'values to compare')
    assert.equal(runExample(temporaryDirectory(t), `${same}${program.code}`), '')
  })
}

test('every code in the page is in a block that is run', () => {
  assert.equal(blocks().length, page.split(/^```\w+$/m).length - 1)
  assert.ok(blocks().length >= 9)
})

/**
 * Goal: what docs/testing.md shows works.
 * Method: every block of code of the page is run as it stands, in a directory of its own.
 * Properties checked: it ends without an error, and nothing is on stderr; the suite's tests ran.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/directory.js'
import { runExample } from '../support/example.js'

const page = readFileSync(join(process.cwd(), 'docs/testing.md'), 'utf8')
const blocks = Array.from(page.matchAll(/^```js\n(.*?)^```$/gms), ([, code]) => code)

for (const [index, code] of blocks.entries()) {
  test(`block ${index + 1} of docs/testing.md runs`, (t) => {
    const printed = runExample(temporaryDirectory(t), code)
    if (code.includes('conformanceSuite({')) assert.match(printed, /pass [4-9]\d/)
    else assert.equal(printed, '')
  })
}

test('the page has a block for each of its sections', () => {
  assert.equal(blocks.length, page.split(/^## /m).length - 1)
})

/**
 * Goal: what the canaries change is still there to be changed: the harnesses that must notice them run for
 *   minutes, and not with every change (test/soak/canaries).
 * Method: the compiled sources are read.
 * Properties checked: each text that is to be replaced stands in its file, once.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { canaries } from './canaries.js'

for (const { edits, invariant, what } of canaries) {
  test(`${invariant} can be broken: ${what}`, () => {
    for (const { file, from } of edits) {
      const text = readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8')
      assert.equal(text.split(from).length - 1, 1, `${file}: ${from}`)
    }
  })
}

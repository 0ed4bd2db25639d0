/** The code of a page, run as a reader of the page would run it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The one code block of a page that has these words in it. */
export function codeBlockOf(page: string, words: string): string {
  const text = readFileSync(join(process.cwd(), page), 'utf8')
  const blocks = Array.from(text.matchAll(/^```js\n(.*?)^```$/gms), ([, code]) => code)
  const found = blocks.filter((code) => code.includes(words))
  assert.equal(found.length, 1, `${page} has one block of code with ${words}`)
  return found[0]
}

/** Runs code in `directory`, where the package is installed under its name; returns what it printed. */
export function runExample(directory: string, code: string): string {
  const modules = join(directory, 'node_modules')
  mkdirSync(modules, { recursive: true })
  symlinkSync(process.cwd(), join(modules, 'varve'))
  const file = join(directory, 'example.mjs')
  writeFileSync(file, code)
  const { status, stderr, stdout } = spawnSync(process.execPath, [file], {
    cwd: directory,
    encoding: 'utf8',
  })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return stdout
}

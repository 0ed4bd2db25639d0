// Puts the compiled modules that programs of the tests consist of into one file, build/linked.txt, and what
// V8 makes of it beside: processes that are started and killed by the hundred spent 260 ms of processor time on
// loading 200 modules one by one, and 80 ms this way. Beside each program a `<name>.linked.cjs` begins it
// from there. It is the same code: each module becomes a function, an import a call that runs the module
// when it is first wanted, and `import.meta.url` is still that of the module's own file.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const build = fileURLToPath(new URL('../build', import.meta.url))
/** Programs: they are run by their name and not imported, and may wait at their top level. */
const programPattern = /((?<!canary)-child|-worker|\/writer|\/cluster-app|^src\/cli\/main)\.js$/
const texts = new Map()

/** Adds a module, and all that it imports. */
function add(name) {
  if (texts.has(name)) return
  const { outputText } = ts.transpileModule(readFileSync(join(build, name), 'utf8'), {
    compilerOptions: {
      ...{ module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
      ...{ ignoreDeprecations: '6.0', removeComments: true },
    },
  })
  const text = outputText
    .replace(/^#!.*/, '')
    .replace(/^\/\/# sourceMappingURL.*$/m, '')
    .replaceAll('import.meta.url', '__url')
    // A module may have a `require` of its own.
    .replaceAll(/\brequire\((?=["'])/g, '__require(')
    // Text of one byte a character is read and hashed faster.
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const begin = programPattern.test(name) ? 'async function' : 'function'
  texts.set(name, `${JSON.stringify(name)}: ${begin} (exports, __require, __url) {${text}\n}`)
  for (const [, path] of text.matchAll(/__require\(["'](\.[^"']+)["']\)/g)) {
    add(posix.join(posix.dirname(name), path))
  }
}

/** In the file that is made: runs modules by their path in build/. */
function linker(modules, root, outside) {
  const { join, dirname } = require('node:path').posix
  const { pathToFileURL } = require('node:url')
  const known = new Map()
  return function run(name) {
    const former = known.get(name)
    if (former !== undefined) return former.exports
    const module = { exports: {} }
    known.set(name, module)
    const requireFrom = (wanted) =>
      wanted.startsWith('.') ? run(join(dirname(name), wanted)) : outside(wanted)
    // A promise, of a program.
    module.ended = modules[name](module.exports, requireFrom, pathToFileURL(`${root}/${name}`).href)
    return module.exports
  }
}

const programs = readdirSync(build, { recursive: true })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => /^(src|test)\//.test(name) && programPattern.test(name))
  .sort()
for (const name of programs) add(name)
const source = [
  "(function (require, root) { 'use strict'",
  linker.toString(),
  `return linker({\n${[...texts.values()].join(',\n')}\n}, root, require) })`,
].join('\n')
writeFileSync(join(build, 'linked.txt'), source)

/** The file that programs begin with: what is compiled once is not compiled by each of them. */
function begin(name) {
  const { readFileSync } = require('node:fs')
  const { Script } = require('node:vm')
  const path = `${__dirname}/linked.txt`
  const cachedData = name === undefined ? undefined : readFileSync(`${__dirname}/linked.cache`)
  const script = new Script(readFileSync(path, 'latin1'), { filename: path, cachedData })
  const run = script.runInThisContext()(require, __dirname)
  if (name !== undefined) return run(name)
  run('src/store/index.js')
  require('node:fs').writeFileSync(`${__dirname}/linked.cache`, script.createCachedData())
}
writeFileSync(join(build, 'linked.cjs'), `module.exports = ${begin.toString()}\n`)
createRequire(import.meta.url)(join(build, 'linked.cjs'))()
for (const name of programs) {
  const path = posix.join(posix.relative(posix.dirname(name), '.'), 'linked.cjs')
  // What a program says of itself, it says of its own file.
  const self = `if (require.main === module) process.argv[1] = __filename.replace('.linked.cjs', '.js')\n`
  const stub = `${self}require(${JSON.stringify(path)})(${JSON.stringify(name)})\n`
  writeFileSync(join(build, name.replace(/\.js$/, '.linked.cjs')), stub)
}

// Programs of the tests that are started by the hundred, build/linked/: 200 modules one by one cost 300 ms of
// processor time to load, and 50 this way. Each lies there under its path in build/.
import { readdirSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { defineConfig } from 'rolldown'
import { common } from './rolldown.config.mjs'

const programPattern = /^(src\/cli\/main|test\/.*((?<!canary)-child|\/writer|\/cluster-app))\.js$/
const programs = readdirSync('build', { recursive: true })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => programPattern.test(name))

export default defineConfig({
  ...common,
  input: Object.fromEntries(programs.map((name) => [name.slice(0, -3), join('build', name)])),
  external: (name) => !name.startsWith('.') && !isAbsolute(name),
  plugins: [
    {
      // The files that are found beside a module are found beside it in build/.
      name: 'own-url',
      transform(code, path) {
        return code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
      },
    },
  ],
  output: {
    dir: 'build/linked',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    minifyInternalExports: false,
    codeSplitting: {
      groups: [{ name: 'varve', test: /build[\\/]src[\\/](?!cli|level|testing)\w+[\\/]/ }],
    },
  },
})

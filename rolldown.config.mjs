// The published JavaScript, dist/: the engine in one file, the store in another, and each entry point with
// what it alone needs. V8 loads what a module imports from a cell each time, constants too: as one module for
// each source file, and with the fields of records and of the control state by their names, an update of a
// counter took a fifth longer. tsc checks the types, and writes the declarations.
import { readFileSync } from 'node:fs'
import { defineConfig } from 'rolldown'

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

/** Also for the programs of the tests, so that what they run was made in the same way. */
export const common = {
  platform: 'node',
  transform: { target: 'node20.19' },
  optimization: { inlineConst: true },
}

export default defineConfig({
  ...common,
  input: {
    'store/index': 'src/store/index.ts',
    'level/index': 'src/level/index.ts',
    'testing/index': 'src/testing/index.ts',
    'cli/main': 'src/cli/main.ts',
    // Beside the chunks below, whose code starts them by their URL.
    'compactor-thread': 'src/compaction/compactor-thread.ts',
    'preparer-thread': 'src/platform/preparer-thread.ts',
  },
  external: Object.keys(dependencies),
  output: {
    dir: 'dist',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    minifyInternalExports: false,
    codeSplitting: {
      groups: [
        // All that preparer-thread.js loads.
        {
          name: 'preparer',
          test: /src[\\/](base[\\/]errors|platform[\\/](libc|preparer))\.ts$/,
          priority: 2,
        },
        // All below store/, for the compactor's thread: all of it in one file, since calls between files cost
        // more than what that thread could do without.
        {
          name: 'engine',
          test: /src[\\/](?!store|cli|level|testing)\w+[\\/](?!\S+-thread\.ts)/,
          priority: 1,
        },
        { name: 'store', test: /src[\\/]store[\\/]/ },
      ],
    },
  },
})

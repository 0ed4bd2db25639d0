/**
 * A process of its own that opens a store, says what came of it in one line of JSON, and, if told
 * to, does something with it and holds it until it is killed or its input ends.
 */
import { writeSync } from 'node:fs'
import { open, StoreError, type StoreOptions } from '../../src/store/index.js'

export interface ChildSetup {
  readonly path: string
  readonly options: StoreOptions
  /** A key to write, and its value to read back. */
  readonly put?: string
  readonly get?: string
  readonly hold?: boolean
}

export interface ChildAnswer {
  readonly opened: boolean
  readonly value?: unknown
  readonly kind?: string
  /** Of an error. */
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly holder?: { readonly processId: number; readonly threadId: number }
}

function answer(line: ChildAnswer): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

async function run({ path, options, put, get, hold }: ChildSetup): Promise<void> {
  const store = open(path, options)
  if (put !== undefined) store.put(put, put)
  const value = get === undefined ? undefined : store.get(get)
  answer({ opened: true, value, kind: store.stats().lastRecovery.kind })
  if (hold) {
    process.stdin.on('end', () => process.exit(0)).resume()
    return
  }
  await store.close()
}

run(JSON.parse(process.argv[2]) as ChildSetup).catch((error: Error) => {
  const isStoreError = error instanceof StoreError
  answer({
    opened: false,
    name: error.name,
    message: error.message,
    ...(isStoreError ? { code: error.code } : {}),
    ...(isStoreError && error.details.holder ? { holder: error.details.holder } : {}),
  })
})

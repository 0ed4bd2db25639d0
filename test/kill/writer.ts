/**
 * Opens a store, checks that it holds exactly what was acknowledged, says so, and writes on until
 * it is killed: see random-kill.test.ts.
 *
 * Arguments: the store's directory, the file of acknowledgements, the options of history and store
 * as JSON. An acknowledgement is one byte, written when the change has returned.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { open, type StoreOptions } from '../../src/store/index.js'
import { applyChange, type BinaryStore, differenceOrRefusal, stateAfter } from '../support/state.js'
import { History, type HistoryOptions } from './history.js'

export interface WriterSetup {
  readonly history: HistoryOptions
  readonly store: StoreOptions<Buffer>
  /** Check and close, write nothing. */
  readonly checkOnly: boolean
}

const [directory, acknowledged, setupText] = process.argv.slice(2)
const setup = JSON.parse(setupText) as WriterSetup

function fail(what: string): never {
  writeSync(2, `${what}\n`)
  process.exit(1)
}

/** The change in flight when the writer died took place or did not: both are right. */
function settle(store: BinaryStore, history: History, acknowledge: () => void): void {
  const before = differenceOrRefusal(store, history.state)
  if (before === undefined) return
  const change = history.next()
  const after = differenceOrRefusal(store, stateAfter(history.state, change))
  if (after !== undefined) {
    const { kind } = store.stats().lastRecovery
    fail(
      `after ${history.count} changes (opened by "${kind}"), with ${JSON.stringify(change)} in flight: ` +
        `without it ${before}; with it ${after}`,
    )
  }
  history.advance()
  acknowledge()
}

async function run(): Promise<void> {
  const history = new History(setup.history)
  const fd = openSync(acknowledged, 'a')
  const one = Buffer.from([1])
  const acknowledge = (): void => {
    writeSync(fd, one)
  }
  for (let left = readFileSync(acknowledged).byteLength; left > 0; left--) history.advance()
  const store = open<Buffer>(directory, { ...setup.store, encoding: 'binary' })
  settle(store, history, acknowledge)
  writeSync(1, `${store.stats().lastRecovery.kind} ${history.count}\n`)
  while (!setup.checkOnly) {
    await applyChange(store, history.next())
    history.advance()
    acknowledge()
  }
  await store.close()
  closeSync(fd)
}

run().catch((error: unknown) => fail(`the writer failed: ${String((error as Error).stack)}`))

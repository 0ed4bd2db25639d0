/** The thread of compactor.ts: has the store open, compacts it where that is worth it, ends when it is told. */
import { parentPort, workerData } from 'node:worker_threads'
import { close } from '../engine/close.js'
import { loadLibc } from '../platform/libc.js'
import { awaitPreparer } from '../platform/preparer.js'
import { memoryPath, openStore } from '../recovery/open-store.js'
import { Compaction } from './compaction.js'
import { type CompactorMessage, type CompactorSetup, toPosted } from './compactor.js'

const setup = workerData as CompactorSetup
const { directory, idleMsMax, lockTimeoutMs, mayEnd, memory, memoryBudgetBytes } = setup
const { pause, syncIntervalMs } = setup
loadLibc()
// The helper thread that makes room for what this one writes: it may be ended from then on, too.
awaitPreparer()
Atomics.store(mayEnd, 0, 1)
Atomics.notify(mayEnd, 0)

const tell = (message: CompactorMessage): void => parentPort?.postMessage(message)
const engine = openStore(
  memory === undefined ? directory : memoryPath,
  {
    readOnly: false,
    createIfMissing: false,
    errorIfExists: false,
    segmentSizeBytes: undefined,
    syncIntervalMs,
    lockTimeoutMs,
    mapping: 'auto',
    verifiesReads: false,
    autoCheckpoint: false,
    memoryBudgetBytes,
    rememberDeletesMs: undefined,
  },
  memory,
)
// What is to be done for all is done by the one that started this thread.
engine.background.stop()
const compaction = new Compaction(engine, pause)
let busyAtMs = performance.now()
engine.onError = (error) => {
  tell({ kind: 'failure', failure: toPosted(error), damaged: compaction.damaged })
}
compaction.onProgress = (event) => tell({ kind: 'progress', event })
compaction.onRun = (report, damaged) => {
  busyAtMs = performance.now()
  tell({ kind: 'run', report, damaged })
}
tell({ kind: 'open' })

// A run may take longer than that, of a large store or beside a busy machine.
const idle = setInterval(() => {
  if (!compaction.isRunning && performance.now() - busyAtMs > idleMsMax) void end()
}, idleMsMax / 10)
parentPort?.once('message', () => void end())
compaction.startFor()

let isEnding = false

async function end(): Promise<void> {
  if (isEnding) return
  isEnding = true
  clearInterval(idle)
  // What it met is known to the one that is told.
  engine.compacted.failure = undefined
  try {
    await close(engine)
  } catch (error) {
    tell({ kind: 'failure', failure: toPosted(error), damaged: compaction.damaged })
  }
  parentPort?.close()
}

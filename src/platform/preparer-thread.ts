/** The helper thread of preparer.ts: waits for jobs without an event loop, and does them. */
import { closeSync, openSync } from 'node:fs'
import { receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemErrorCode } from '../base/errors.js'
import { advicePopulateWrite, type Libc, loadLibc } from './libc.js'
import { type PreparerJob, type PreparerSetup, signalJobs, signalMayEnd } from './preparer.js'

const { signal, port } = workerData as PreparerSetup
const libc = loadLibc()
Atomics.store(signal, signalMayEnd, 1)
Atomics.notify(signal, signalMayEnd)

if (libc !== undefined) {
  for (let seen = 0; ; seen = Atomics.load(signal, signalJobs)) {
    for (;;) {
      const received = receiveMessageOnPort(port)
      if (received === undefined) break
      run(libc, received.message as PreparerJob)
    }
    Atomics.wait(signal, signalJobs, seen)
  }
}

function run(libc: Libc, job: PreparerJob): void {
  if (job.kind === 'populate') {
    libc.advise(job.pointer, job.sizeBytes, advicePopulateWrite)
    return
  }
  try {
    const fd = openSync(job.path, 'r+')
    libc.fallocate(fd, job.sizeBytes)
    closeSync(fd)
  } catch (error) {
    // Renamed into use, or removed with its store, before the job ran.
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

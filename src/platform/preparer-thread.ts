/** The helper thread of preparer.ts: waits for jobs without an event loop, and does them. */
import { closeSync, openSync } from 'node:fs'
import { receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemErrorCode } from '../base/errors.js'
import { advicePopulateWrite, type Libc, loadLibc } from './libc.js'
import {
  type FileStretch,
  type PreparerJob,
  type PreparerSetup,
  signalJobs,
  signalMayEnd,
  tableEntrySize,
  tableHeadSize,
  tableIsCounted,
  tableLength,
} from './preparer.js'

/** Every page size in use divides it. */
const populateStepBytes = 65_536

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
    populate(libc, job.pointer, job.sizeBytes)
    return
  }
  if (job.kind === 'count') {
    count(libc, job.table)
    return
  }
  if (job.kind === 'drop') {
    for (const stretch of job.stretches) drop(libc, stretch)
    return
  }
  withFile(job.path, 'r+', (fd) => libc.fallocate(fd, job.sizeBytes))
}

/**
 * A little at a time: the system keeps everybody in the process from mapping memory, and sometimes from a page
 * fault, for as long as one call takes, which may have to wait for the journal of the file system. Puts beside
 * a checkpoint had to wait up to 20 ms for the calls of 2 MiB.
 */
function populate(libc: Libc, pointer: bigint, sizeBytes: number): void {
  for (let done = 0; done < sizeBytes; done += populateStepBytes) {
    const stepBytes = Math.min(populateStepBytes, sizeBytes - done)
    libc.advise(pointer + BigInt(done), stepBytes, advicePopulateWrite)
  }
}

function count(libc: Libc, table: Float64Array): void {
  const end = tableHeadSize + table[tableLength] * tableEntrySize
  for (let entry = tableHeadSize; entry < end; entry += tableEntrySize) {
    table[entry + 2] = libc.residentBytes(BigInt(table[entry]), table[entry + 1])
  }
  table[tableIsCounted] = 1
}

function drop(libc: Libc, { path, position, sizeBytes }: FileStretch): void {
  withFile(path, 'r', (fd) => libc.adviseUnneeded(fd, position, sizeBytes))
}

function withFile(path: string, flags: 'r' | 'r+', use: (fd: number) => void): void {
  try {
    const fd = openSync(path, flags)
    try {
      use(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    // Renamed into use, or removed with its store, before the job ran.
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

/**
 * One writer at a time: the writer's word of the control file, taken for one operation or batch,
 * never across a flush and never while a large value is filled.
 *
 * The word holds the token of who wrote last, and a bit while it writes. So whoever takes it with
 * its own token in it knows by the same instruction that nobody wrote in between; with another's, it
 * takes over what was committed first.
 *
 * Death (I7): the owner's entry in the table of attachments is locked as long as its thread lives.
 * Whoever waits for more than a moment tries that lock. If it can be had the owner is dead: the
 * waiter takes the word, does what the state announces once more, and goes on. It may die in turn:
 * the word then holds its own token, and the next one repairs. An owner that is alive and stands
 * still (SIGSTOP, a debugger) is waited for and never robbed.
 *
 * Cost: one compare-and-swap and, on x64, one plain store: 20 ns of a put.
 * Hot path: `bench/compare`, rows "load", "random update", "delete".
 */
import { performance } from 'node:perf_hooks'
import { StoreError } from '../base/errors.js'
import { pause } from '../base/pause.js'
import { publishWord } from '../base/shared-words.js'
import { entryOf } from '../control/attachments.js'
import { tokenBusy, writerWord } from '../format/control-layout.js'
import type { Engine } from './engine.js'
import { repair } from './repair.js'

/** Most operations are over before so many looks at the word: some 30 microseconds. */
const looksBeforePause = 2000
const pauseMsMin = 0.05
const pauseMsMax = 1
/** How long an owner is waited for before it is asked whether it lives. */
const msBeforeDeathCheck = 2
/** A step of the wait takes no longer, unless this thread stood still itself, with its process or machine: that is no wait. */
const stepMsMax = 100
/** From here on the wait is worth an event. */
const msBeforeWaitEvent = 100

export function enter(engine: Engine): void {
  const { writerToken } = engine
  const { words } = engine.control
  const busy = writerToken | tokenBusy
  if (Atomics.compareExchange(words, writerWord, writerToken, busy) === writerToken) return
  enterBehindAnother(engine)
}

export function leave(engine: Engine): void {
  publishWord(engine.control.words, writerWord, engine.writerToken)
  if (engine.afterWrite !== undefined) runAfterWrite(engine)
}

function runAfterWrite(engine: Engine): void {
  const { afterWrite } = engine
  engine.afterWrite = undefined
  afterWrite?.()
}

/**
 * After an operation was broken off by an error: what it committed is applied in full before the
 * next one begins. Where even that fails nobody may write any more.
 */
export function mend(engine: Engine): void {
  try {
    repair(engine, true)
  } catch (error) {
    engine.control.poison(String(error))
    throw error
  }
}

/** Runs `change` with the writer's word in hand; of a transaction that commits, with the one that it has. */
export function exclusively<T>(engine: Engine, change: () => T): T {
  if (engine.isCommitting) return change()
  enter(engine)
  try {
    return change()
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
}

interface Wait {
  lookedAtMs: number
  waitedMs: number
  pauseMs: number
  deathCheckAtMs: number
  isReported: boolean
}

function enterBehindAnother(engine: Engine): void {
  const { words } = engine.control
  const busy = engine.writerToken | tokenBusy
  let wait: Wait | undefined
  for (let looks = 0; ; looks++) {
    const word = Atomics.load(words, writerWord)
    if ((word & tokenBusy) === 0) {
      if (Atomics.compareExchange(words, writerWord, word, busy) !== word) continue
      adoptOrGiveBack(engine, word)
      return
    }
    if (word === busy) throw withinCallback(engine)
    if (looks < looksBeforePause) continue
    wait ??= beginWait(engine, word)
    if (waitForOwner(engine, word, wait)) return
  }
}

/** The innermost engine of this thread that runs code of the caller's with its writer's word in hand. */
let innermost: Engine | undefined

/**
 * From here to {@link endCallback} the caller's code runs, with the writer's word in hand. What it does
 * with the store may take the key at hand and the lookup; what would write, or pin, throws.
 */
export function beginCallback(engine: Engine, operation: string): void {
  engine.callbackOf = operation
  engine.outerInCallback = innermost
  innermost = engine
}

export function endCallback(engine: Engine): void {
  engine.callbackOf = ''
  innermost = engine.outerInCallback
  engine.outerInCallback = undefined
}

/** Throws where the caller's code runs within an operation that is not over. */
export function requireNoCallback(engine: Engine): void {
  if (engine.callbackOf !== '') throw withinCallback(engine)
}

function withinCallback({ callbackOf }: Engine): StoreError {
  const where = callbackOf === '' ? 'another write' : `the function given to ${callbackOf}`
  return new StoreError(
    'STORE_IN_USE',
    `a write, a range, a snapshot or a transaction was begun within ${where} of this store; it holds the store for itself until it returns`,
  )
}

/** The same store opened twice by this thread: its other handle cannot go on while this one waits. */
function requireNotOwn(engine: Engine, word: number): void {
  const own = engine.control.file.identity()
  for (let other = innermost; other !== undefined; other = other.outerInCallback) {
    const { device, inode } = other.control.file.identity()
    const isSameStore = device === own.device && inode === own.inode
    if (isSameStore && (other.writerToken | tokenBusy) === word) throw withinCallback(other)
  }
}

function beginWait(engine: Engine, word: number): Wait {
  requireNotOwn(engine, word)
  const nowMs = performance.now()
  return {
    lookedAtMs: nowMs,
    waitedMs: 0,
    pauseMs: pauseMsMin,
    deathCheckAtMs: nowMs + msBeforeDeathCheck,
    isReported: false,
  }
}

/** One step of waiting. True where the owner was dead and this one is the writer now. */
function waitForOwner(engine: Engine, word: number, wait: Wait): boolean {
  const nowMs = performance.now()
  wait.waitedMs += Math.min(nowMs - wait.lookedAtMs, stepMsMax)
  wait.lookedAtMs = nowMs
  const { waitedMs } = wait
  if (nowMs >= wait.deathCheckAtMs) {
    if (takeOver(engine, word)) return true
    wait.deathCheckAtMs = nowMs + msBeforeDeathCheck
  }
  if (waitedMs >= msBeforeWaitEvent && !wait.isReported) {
    wait.isReported = true
    engine.onWait?.(engine.attachments.facts(entryOf(word)), waitedMs)
  }
  if (waitedMs >= engine.lockTimeoutMs) throw ownerStandsStill(engine, word, waitedMs)
  pause(wait.pauseMs)
  wait.pauseMs = Math.min(pauseMsMax, wait.pauseMs * 2)
  return false
}

/** The dead owner's lock is held meanwhile, so that of many that wait one repairs. */
function takeOver(engine: Engine, word: number): boolean {
  const { attachments, control, writerToken } = engine
  const lock = attachments.takeFromDead(word)
  if (lock === undefined) return false
  try {
    const busy = writerToken | tokenBusy
    if (Atomics.compareExchange(control.words, writerWord, word, busy) !== word) return false
    control.adopt()
    repairBetween(engine)
    attachments.clear(entryOf(word))
    return true
  } catch (error) {
    // Alive and not able to finish it: nobody else must wait for this one, or take it for the last one
    // that wrote.
    control.poison(String(error))
    Atomics.store(control.words, writerWord, 0)
    throw error
  } finally {
    lock.release()
  }
}

/** Where this one cannot take over the state, the word goes back to who had it. */
function adoptOrGiveBack(engine: Engine, word: number): void {
  try {
    adopt(engine)
  } catch (error) {
    Atomics.store(engine.control.words, writerWord, word)
    throw error
  }
}

/** The operation that waits has its key at hand already, and repair reads the keys of others. */
function repairBetween(engine: Engine): void {
  const { key } = engine
  const { sizeBytes } = key
  const words = key.words.slice(0, (sizeBytes + 3) >>> 2)
  try {
    repair(engine, false)
  } finally {
    key.setWords(words, 0, sizeBytes)
  }
}

/** Takes over what others committed since this one wrote last. */
export function adopt(engine: Engine): void {
  engine.control.adopt()
  engine.index.adoptBucketCount()
  engine.log.adoptTail()
}

function ownerStandsStill(engine: Engine, word: number, waitedMs: number): StoreError {
  const { processId, threadId, sinceMs } = engine.attachments.facts(entryOf(word))
  return new StoreError(
    'STORE_LOCKED',
    `process ${processId}, thread ${threadId} has been writing for ${Math.round(waitedMs)} ms; it is alive and stands still`,
    {
      details: {
        file: engine.directory,
        holder: { processId, threadId, hostname: '', since: new Date(sinceMs).toISOString() },
      },
    },
  )
}

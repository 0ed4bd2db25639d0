/** A store looked at again and again while others work with it. */
import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import type { Attachment, StoreStats } from '../store/index.js'
import { formatBytes, formatCount, perSecond } from './quantities.js'
import type { AnyStore } from './store-access.js'
import { tableLines } from './table.js'

/** What one look found. The rates are since the look before; null in the first. */
export interface Tick {
  /** Wall clock. */
  readonly atMs: number
  readonly attachments: readonly Attachment[]
  readonly writesPerSecond: number | null
  /** How fast `durable` moves: what syncs, by whomever, brought to the medium. */
  readonly syncedBytesPerSecond: number | null
  readonly stats: StoreStats
}

export interface WatchPlan {
  readonly intervalMs: number
  /** Ticks to give at most. */
  readonly countMax: number
  readonly end: AbortSignal
}

/** Gives a tick at once and then one each interval, until told to end. */
export async function* watchStore(store: AnyStore, plan: WatchPlan): AsyncGenerator<Tick> {
  let before: { readonly stats: StoreStats; readonly nowMs: number } | undefined
  for (let count = 0; count < plan.countMax && !plan.end.aborted; count++) {
    if (count > 0 && !(await hasPassed(plan.intervalMs, plan.end))) return
    const stats = store.stats()
    const nowMs = performance.now()
    const rate = (number: (stats: StoreStats) => number): number | null =>
      before === undefined
        ? null
        : perSecond(Math.max(0, number(stats) - number(before.stats)), nowMs - before.nowMs)
    yield {
      atMs: Date.now(),
      attachments: store.attachments(),
      writesPerSecond: rate(({ sequence }) => sequence),
      syncedBytesPerSecond: rate(({ durable }) => durable * addressSizeBytes),
      stats,
    }
    before = { stats, nowMs }
  }
}

/** Addresses count words of this size. */
const addressSizeBytes = 8

/** False where the wait was broken off. */
async function hasPassed(intervalMs: number, end: AbortSignal): Promise<boolean> {
  try {
    await setTimeout(intervalMs, undefined, { signal: end })
    return true
  } catch (error) {
    if (end.aborted) return false
    throw error
  }
}

export function tickLines(store: AnyStore, tick: Tick): string[] {
  return [
    `${resolve(store.path)}  ${new Date(tick.atMs).toISOString()}`,
    '',
    ...numberLines(tick),
    '',
    ...attachmentLines(tick.attachments),
  ]
}

function numberLines({ stats, syncedBytesPerSecond, writesPerSecond }: Tick): string[] {
  const unsyncedBytes = (stats.tail - stats.durable) * addressSizeBytes
  return tableLines([
    ['records', formatCount(stats.records)],
    ['keys and values', formatBytes(stats.keyBytes + stats.valueBytes)],
    ['writes', formatCount(stats.sequence), rateInWords(writesPerSecond, formatCount)],
    ['not synced yet', formatBytes(unsyncedBytes)],
    ['synced', '', rateInWords(syncedBytesPerSecond, formatBytes)],
    ['files', formatBytes(stats.fileBytes)],
    ['garbage', `${(stats.garbageRatio * 100).toFixed(1)} %`],
    ['poisoned', stats.poisoned ? 'yes' : 'no'],
  ])
}

function rateInWords(rate: number | null, format: (rate: number) => string): string {
  return rate === null ? '' : `${format(rate)}/s`
}

function attachmentLines(attachments: readonly Attachment[]): string[] {
  return tableLines([
    ['process', 'thread', 'Node', 'since', 'access'],
    ...attachments.map((attachment) => [
      `${attachment.processId}${isThisOne(attachment) ? ' (this one)' : ''}`,
      String(attachment.threadId),
      String(attachment.nodeVersion),
      new Date(attachment.sinceMs).toISOString(),
      attachment.isReadOnly ? 'read-only' : 'read-write',
    ]),
  ])
}

function isThisOne(attachment: Attachment): boolean {
  return attachment.processId === process.pid && attachment.threadId === threadId
}

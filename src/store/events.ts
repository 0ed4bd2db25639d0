/** What a store tells its user beside the results of calls. */
import { shown } from '../base/shown.js'
import type { CompactionEvent } from '../compaction/run.js'
import type { Attachment } from '../control/attachments.js'

export interface StoreEvents {
  /**
   * A write of this thread waits, or waited, for another thread or process that writes and stands
   * still (stopped, or in a debugger). Emitted once for each such wait of more than 100 ms. The
   * waiting thread is blocked: its listeners are called when it goes on.
   */
  wait: [info: { readonly holder: Attachment; readonly waitedMs: number }]
  /** The first range of a store built its ordered index, and it took more than 100 ms. */
  built: [info: { readonly keys: number; readonly durationMs: number }]
  /**
   * Something works that should be otherwise: a snapshot that was never closed and was collected as
   * garbage, a checkpoint that recovery could not use. Without a listener it is a warning of the process.
   */
  warning: [words: string]
  /** Compaction gave something back, or came to its end; of whoever asked for it, and in the background. */
  compaction: [event: CompactionEvent]
  /** Background work failed; the next call that depends on it reports the same error. */
  error: [error: unknown]
}

const eventNames: Readonly<Record<keyof StoreEvents, true>> = {
  wait: true,
  built: true,
  warning: true,
  compaction: true,
  error: true,
}

/** Throws `TypeError`: a listener for what never happens would wait for ever. */
export function requireEvent(event: unknown): void {
  if (typeof event === 'string' && Object.hasOwn(eventNames, event)) return
  const accepted = Object.keys(eventNames).map(shown).join(', ')
  throw new TypeError(`event is ${shown(event)}; accepted: ${accepted}`)
}

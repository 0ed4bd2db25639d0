/**
 * Does every snapshot show the state of the store at its sequence? Of all values whose sequence some
 * reader was told: what a snapshot shows is not newer than it, and nothing between the two was put to the
 * same key; and sequences follow the order in which snapshots were made and puts returned.
 */
import type { History, Look } from './history-file.js'
import type { Operation, Put, Violation } from './linearizability.js'

export function checkLooks({ looks, operations, sequences }: History): Violation | undefined {
  const puts = new Map<string, Put[]>()
  const known: Put[] = []
  for (const operation of operations) {
    if (operation.kind !== 'put' || !sequences.has(operation.value)) continue
    // A batch gives registers and groups one value; the sequence that was told is the register's.
    if (!operation.key.startsWith('r-')) continue
    known.push(operation)
    const ofKey = puts.get(operation.key)
    if (ofKey === undefined) puts.set(operation.key, [operation])
    else ofKey.push(operation)
  }
  for (const look of looks) {
    const violation = checkShown(look, puts, sequences) ?? checkMoment(look, known, sequences)
    if (violation !== undefined) return violation
  }
  return checkOrder(looks)
}

type Sequences = ReadonlyMap<string, number>

function checkShown(
  look: Look,
  puts: ReadonlyMap<string, readonly Put[]>,
  sequences: Sequences,
): Violation | undefined {
  for (const [index, key] of look.keys.entries()) {
    const told = look.found[index]
    const shown = told === null ? undefined : told[2]
    if (shown !== undefined && shown > look.sequence) {
      return violationOf(look, key, `shows ${told?.[0]} with sequence ${shown}`, [])
    }
    if (shown === undefined) continue
    for (const put of puts.get(key) ?? []) {
      const sequence = sequences.get(put.value) as number
      if (sequence <= shown || sequence > look.sequence) continue
      return violationOf(look, key, `shows ${told?.[0]} with sequence ${shown}, not ${sequence}`, [
        put,
      ])
    }
  }
  return undefined
}

function checkMoment(
  look: Look,
  puts: readonly Put[],
  sequences: Sequences,
): Violation | undefined {
  for (const put of puts) {
    const sequence = sequences.get(put.value) as number
    const isBefore = put.respondedAtNs < look.invokedAtNs
    const isAfter = put.invokedAtNs > look.respondedAtNs
    if ((isBefore && sequence > look.sequence) || (isAfter && sequence <= look.sequence)) {
      const when = isBefore ? 'after' : 'before'
      return violationOf(look, put.key, `was made ${when} a put of sequence ${sequence}`, [put])
    }
  }
  return undefined
}

/** One that was made behind another shows no less. */
function checkOrder(looks: readonly Look[]): Violation | undefined {
  const byResponse = [...looks].sort((a, b) => a.respondedAtNs - b.respondedAtNs)
  const byInvocation = [...looks].sort((a, b) => a.invokedAtNs - b.invokedAtNs)
  let highest: Look | undefined
  let next = 0
  for (const look of byInvocation) {
    for (; byResponse[next].respondedAtNs < look.invokedAtNs; next++) {
      if (highest === undefined || byResponse[next].sequence > highest.sequence) {
        highest = byResponse[next]
      }
    }
    if (highest !== undefined && highest.sequence > look.sequence) {
      return violationOf(look, '', `was made after one of sequence ${highest.sequence}`, [])
    }
  }
  return undefined
}

function violationOf(
  look: Look,
  key: string,
  what: string,
  operations: readonly Operation[],
): Violation {
  return { key, what: `snapshot ${look.sequence} of ${look.client} ${what}`, operations }
}

/**
 * One run of several clients on one store, some of them killed, others joining, and what is wrong
 * with what they were told. Everything random comes from the seed; the moments at which the machine
 * runs whom do not.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { open } from '../../src/store/index.js'
import { copyStore } from '../support/directory.js'
import { Random } from '../support/random.js'
import { type ClientSetup, groupKeys } from './client.js'
import { preparedKey } from './final-reader.js'
import { emptyHistory, type History, readHistory } from './history-file.js'
import { HostGone, type HostKind, type HostPool } from './hosts.js'
import {
  checkCommitOrder,
  checkGroup,
  checkHistory,
  describeViolation,
  type Operation,
} from './linearizability.js'
import { checkLooks } from './looks.js'
import { type SharedOptions, smallOptions } from './options.js'
import { backupOf, hasBackup } from './upkeep.js'

export interface RunSetup {
  readonly seed: number
  /** For the store and the histories; made here. */
  readonly directory: string
  readonly kills: boolean
}

export interface RunReport {
  readonly problems: readonly string[]
  readonly operations: number
  readonly kills: number
  /** How many of the clients that were killed had an operation under way. */
  readonly interrupted: number
  /** Clients that left a backup. */
  readonly backups: number
}

interface Plan {
  readonly clients: readonly PlannedClient[]
  readonly options: SharedOptions
  readonly registers: number
  readonly groups: number
  readonly prepared: readonly string[]
  readonly isCopied: boolean
}

interface PlannedClient {
  readonly client: string
  readonly kind: HostKind
  readonly seed: number
  readonly durationMs: number
  readonly startsAtMs: number
  /** Undefined: it comes to its end. */
  readonly killedAtMs: number | undefined
  readonly writes: boolean
  readonly readOnly: boolean
}

const operationsMax = 1500

function planOf(seed: number, kills: boolean): Plan {
  const random = new Random(seed)
  const count = 2 + Math.min(random.below(5), random.below(5))
  const durationMs = 60 + random.below(120)
  const clients: PlannedClient[] = []
  const add = (startsAtMs: number, killedAtMs: number | undefined): void => {
    const writes = clients.length < 2 || random.chance(0.9)
    clients.push({
      client: `c${clients.length}`,
      kind: random.chance(0.5) ? 'process' : 'thread',
      seed: random.next(),
      durationMs: Math.max(20, durationMs - startsAtMs),
      startsAtMs,
      killedAtMs,
      writes,
      readOnly: !writes && random.chance(0.5),
    })
  }
  // A reader must not be the first to come: there may be no store yet.
  const killed = kills ? 1 + random.below(Math.min(3, count - 1)) : 0
  for (let index = 0; index < count; index++) {
    add(0, index < killed ? 5 + random.below(durationMs) : undefined)
  }
  for (let index = 0; index < killed; index++) {
    const { killedAtMs = 0 } = clients[index]
    if (random.chance(0.6)) add(killedAtMs + random.below(10), undefined)
  }
  // Some tables are about to grow, whose first split comes with key 1,281.
  const preparedCount = random.chance(0.6) ? 1000 + random.below(280) : 0
  return {
    clients,
    options: { ...smallOptions, syncIntervalMs: random.pick([0, 2, 5, 50]) },
    registers: 1 + random.below(4),
    groups: 1 + random.below(3),
    prepared: Array.from({ length: preparedCount }, (_, index) => preparedKey(index)),
    isCopied: random.chance(0.3),
  }
}

async function prepare(path: string, plan: Plan): Promise<void> {
  const needsStore = plan.clients.some(({ readOnly }) => readOnly)
  if (plan.prepared.length === 0 && !needsStore) return
  const store = open<Buffer>(path, { ...plan.options, encoding: 'binary' })
  // Written, so that the encoding is known to whoever only reads.
  store.put('first', Buffer.from('first'))
  store.delete('first')
  if (plan.prepared.length > 0) {
    store.write(plan.prepared.map((key) => ({ type: 'put', key, value: Buffer.from(key) })))
  }
  await store.close()
}

export async function runClients(pool: HostPool, setup: RunSetup): Promise<RunReport> {
  const plan = planOf(setup.seed, setup.kills)
  const path = join(setup.directory, 'store')
  mkdirSync(setup.directory, { recursive: true })
  await prepare(path, plan)
  const originNs = process.hrtime.bigint()
  const problems: string[] = []
  const fileOf = (client: string): string => join(setup.directory, `${client}.history`)

  const hosts = plan.clients.map(({ kind }) => pool.take(kind))
  await Promise.all(hosts.map((host) => host.ready))
  await Promise.all(
    plan.clients.map(async (planned, index) => {
      const { client, seed, durationMs, writes, readOnly, startsAtMs, killedAtMs } = planned
      const { registers, groups, options } = plan
      const prepared = plan.prepared.length
      const host = hosts[index]
      await delay(startsAtMs)
      const killing =
        killedAtMs === undefined
          ? undefined
          : delay(killedAtMs - startsAtMs).then(() => host.kill())
      const argument: ClientSetup = {
        ...{ path, client, seed, durationMs, registers, groups, prepared, writes, operationsMax },
        ...{ file: fileOf(client), options: { ...options, readOnly } },
      }
      try {
        await host.call('runClient', argument)
      } catch (error) {
        const isExpected = killedAtMs !== undefined && error instanceof HostGone
        if (!isExpected)
          problems.push(`${planned.kind} ${client}: ${String((error as Error).stack)}`)
      }
      await killing
      pool.giveBack(host)
    }),
  )

  const history = emptyHistory()
  for (const { client } of plan.clients) readIfThere(history, fileOf(client), client, originNs)
  const interrupted = history.operations.filter(
    ({ respondedAtNs }) => respondedAtNs === Number.POSITIVE_INFINITY,
  ).length
  const readers = await readAtTheEnd(pool, plan, path, fileOf, history, problems)
  for (const reader of readers) readIfThere(history, fileOf(reader), reader, originNs)
  problems.push(...history.problems, ...violationsOf(history, plan))
  const kills = plan.clients.filter(({ killedAtMs }) => killedAtMs !== undefined).length
  const backups = plan.clients.filter(({ client }) => hasBackup(backupOf(path, client))).length
  return { problems, operations: history.operations.length, kills, interrupted, backups }
}

/** Opens the store when all clients are gone, and sometimes a copy of it, which is another boot. */
async function readAtTheEnd(
  pool: HostPool,
  plan: Plan,
  path: string,
  fileOf: (client: string) => string,
  history: History,
  problems: string[],
): Promise<string[]> {
  const readers: string[] = []
  const read = async (reader: string, from: string, options: SharedOptions): Promise<void> => {
    readers.push(reader)
    const { registers, groups, prepared } = plan
    const host = pool.take('process')
    const backups = plan.clients.map(({ client }) => backupOf(path, client))
    const setup = {
      path: from,
      options,
      file: fileOf(reader),
      registers,
      groups,
      prepared,
      backups,
    }
    try {
      const found = await host.call('readAll', { ...setup, fills: history.fills })
      problems.push(...found.map((problem) => `${reader}: ${problem}`))
    } catch (error) {
      problems.push(`${reader}: ${String((error as Error).stack)}`)
    }
    pool.giveBack(host)
  }
  await read('last', path, plan.options)
  if (plan.isCopied) {
    copyStore(path, `${path}-copy`)
    await read('copy', `${path}-copy`, { ...plan.options, readOnly: true })
  }
  return readers
}

function readIfThere(history: History, file: string, client: string, originNs: bigint): void {
  try {
    readHistory(history, file, client, originNs)
  } catch (error) {
    // Killed before it had begun.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function violationsOf(history: History, plan: Plan): string[] {
  const { operations, sequences } = history
  const groups = Array.from({ length: plan.groups }, (_, group) => groupKeys(group))
  const violations = [
    ...checkHistory(operations),
    ...groups.map((keys) => checkGroup(operations, keys)),
    checkCommitOrder(registersOf(operations), sequences),
    checkLooks(history),
  ]
  return violations.flatMap((violation) =>
    violation === undefined ? [] : [describeViolation(violation)],
  )
}

const registersOf = (operations: readonly Operation[]): Operation[] =>
  operations.filter(({ key }) => key.startsWith('r-'))

/** The options that say which keys: of `varve scan` and `varve count`. */
import type { Command } from 'commander'
import type { RangeOptions, StoreKey } from '../store/index.js'
import { parseKey } from './key.js'
import type { AnyKeyspace } from './store-access.js'

/** As given on the command line. */
export interface RangeArguments {
  readonly prefix?: string
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly lte?: string
}

const bounds = ['prefix', 'gt', 'gte', 'lt', 'lte'] as const

export function addRangeOptions(command: Command): Command {
  return command
    .option('--prefix <key>', 'only keys that begin with this')
    .option('--gt <key>', 'only keys above this one')
    .option('--gte <key>', 'only keys from this one on')
    .option('--lt <key>', 'only keys below this one')
    .option('--lte <key>', 'only keys up to this one')
}

/** Keys are written as those that are printed. */
export function rangeOf(keyspace: AnyKeyspace, given: RangeArguments): RangeOptions<StoreKey> {
  const { keyEncoding } = keyspace.encodings
  const named = bounds.filter((bound) => given[bound] !== undefined)
  return Object.fromEntries(
    named.map((bound) => [bound, parseKey(given[bound] as string, keyEncoding)]),
  )
}

export function hasBounds(given: RangeArguments): boolean {
  return bounds.some((bound) => given[bound] !== undefined)
}

/** The operations of the model test, as data: generated, shrunk and printed by fast-check. */
import fc from 'fast-check'
import {
  type EncodingLabel,
  type KeyEncodingLabel,
  keyPools,
  type ValueSpec,
  valueSpecs,
} from './data.js'

/** One keyspace of the store under test; '' is the default one. */
export interface Space {
  readonly name: string
  readonly encoding: EncodingLabel
  readonly keyEncoding: KeyEncodingLabel
}

export type Condition = 'none' | 'sameVersion' | 'otherVersion' | 'absent'

/** A range by places of keys in the pool; a prefix is the beginning of such a key. */
export interface RangeSpec {
  readonly gt?: number
  readonly gte?: number
  readonly lt?: number
  readonly lte?: number
  readonly prefix?: { readonly key: number; readonly length: number }
  readonly reverse?: boolean
  readonly limit?: number
}

/** A place: the index of a keyspace, and that of a key in its pool. */
export interface Place {
  readonly space: number
  readonly key: number
}

/** When what is put expires: never, not while the test runs, or before it is put. */
export type Expiry = 'never' | 'later' | 'past'

export type BatchPart = Place & { readonly value: ValueSpec | undefined; readonly expiry: Expiry }

export type Operation =
  | (Place & {
      readonly do: 'put'
      readonly value: ValueSpec
      readonly condition: Condition
      readonly expiry: Expiry
    })
  | (Place & { readonly do: 'update' | 'getOrInsert'; readonly value: ValueSpec | undefined })
  | (Place & {
      readonly do: 'apply'
      readonly value: ValueSpec | undefined
      readonly version: number
    })
  | (Place & { readonly do: 'delete'; readonly condition: Exclude<Condition, 'absent'> })
  | { readonly do: 'write'; readonly parts: readonly BatchPart[] }
  | { readonly do: 'make' | 'drop'; readonly space: number }
  | { readonly do: 'sync' | 'read' | 'snapshot' | 'advance' }
  | { readonly do: 'compact'; readonly minGarbageRatio: number }
  | { readonly do: 'readSnapshot' | 'closeSnapshot'; readonly which: number }
  /** Of one of the snapshots, or of one made for it. */
  | { readonly do: 'export'; readonly which: number | undefined; readonly chunkSizeBytes: number }
  | { readonly do: 'range' | 'hold'; readonly space: number; readonly range: RangeSpec }
  | { readonly do: 'checkpoint'; readonly keep: number }
  | { readonly do: 'reopen'; readonly readOnlyBetween: boolean }
  | { readonly do: 'copy'; readonly sync: boolean; readonly goOn: boolean }

function places(space: number, spaces: readonly Space[]): fc.Arbitrary<Place> {
  const poolSize = keyPools[spaces[space].keyEncoding].length
  return fc.record({ space: fc.constant(space), key: fc.nat(poolSize - 1) })
}

const expiries = fc.constantFrom<Expiry>('never', 'never', 'never', 'later', 'past')

function inSpace(
  space: number,
  spaces: readonly Space[],
  segmentSizeBytes: number,
): fc.Arbitrary<Operation> {
  const place = places(space, spaces)
  const value = valueSpecs(spaces[space].encoding, segmentSizeBytes)
  const condition = fc.constantFrom<Condition>(
    'none',
    'none',
    'none',
    'none',
    'sameVersion',
    'otherVersion',
    'absent',
  )
  const deleteCondition = fc.constantFrom(
    'none' as const,
    'sameVersion' as const,
    'otherVersion' as const,
  )
  return fc.oneof(
    {
      weight: 5,
      arbitrary: fc.tuple(place, value, condition, expiries).map(([at, spec, when, expiry]) => ({
        ...{ do: 'put' as const, value: spec, condition: when, expiry },
        ...at,
      })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(place, fc.option(value, { nil: undefined, freq: 4 }))
        .map(([at, spec]) => ({ do: 'update' as const, ...at, value: spec })),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(place, value)
        .map(([at, spec]) => ({ do: 'getOrInsert' as const, ...at, value: spec })),
    },
    {
      weight: 2,
      // Lower than all that the store draws, and now and then higher.
      arbitrary: fc
        .tuple(place, fc.option(value, { nil: undefined, freq: 3 }), fc.nat(5))
        .map(([at, spec, version]) => ({ do: 'apply' as const, ...at, value: spec, version })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(place, deleteCondition)
        .map(([at, when]) => ({ do: 'delete' as const, ...at, condition: when })),
    },
  )
}

function ranges(
  space: number,
  spaces: readonly Space[],
): fc.Arbitrary<{ readonly space: number; readonly range: RangeSpec }> {
  const key = fc.nat(keyPools[spaces[space].keyEncoding].length - 1)
  const prefix = fc.record({ key, length: fc.nat(4) })
  const bounds = { gt: key, gte: key, lt: key, lte: key, prefix }
  const some = fc.record(
    { ...bounds, reverse: fc.boolean(), limit: fc.nat(12) },
    { requiredKeys: [] },
  )
  // Most random pairs of bounds leave nothing between them.
  const one = fc.oneof(
    fc.record({}),
    fc.record({ prefix, reverse: fc.boolean() }),
    fc.record({ gt: key, reverse: fc.boolean() }),
    fc.record({ lte: key, reverse: fc.boolean() }),
    some,
  )
  return one.map((range) => ({ space, range }))
}

function batchPart(spaces: readonly Space[], segmentSizeBytes: number): fc.Arbitrary<BatchPart> {
  const parts = spaces.map((space, index) =>
    fc
      .tuple(
        places(index, spaces),
        fc.option(valueSpecs(space.encoding, segmentSizeBytes), { nil: undefined, freq: 3 }),
        expiries,
      )
      .map(([at, value, expiry]) => ({ ...at, value, expiry })),
  )
  return fc.oneof(...parts)
}

/** Sequences of operations; those that need files only where there are some. */
export function operations(
  spaces: readonly Space[],
  options: {
    readonly segmentSizeBytes: number
    readonly hasFiles: boolean
    readonly length: number
  },
): fc.Arbitrary<Operation[]> {
  const { segmentSizeBytes } = options
  const single = spaces.map((_, index) => inSpace(index, spaces, segmentSizeBytes))
  const named = fc.integer({ min: 1, max: spaces.length - 1 })
  const anyRange = fc.oneof(...spaces.map((_, index) => ranges(index, spaces)))
  const which = fc.nat(7)
  const always = [
    { weight: 24, arbitrary: fc.oneof(...single) },
    {
      weight: 4,
      arbitrary: fc
        .array(batchPart(spaces, segmentSizeBytes), { maxLength: 6 })
        .map((parts) => ({ do: 'write' as const, parts })),
    },
    { weight: 1, arbitrary: named.map((space) => ({ do: 'make' as const, space })) },
    { weight: 1, arbitrary: named.map((space) => ({ do: 'drop' as const, space })) },
    { weight: 2, arbitrary: fc.constantFrom({ do: 'sync' as const }, { do: 'read' as const }) },
    {
      weight: 3,
      arbitrary: fc
        .constantFrom(0.01, 0.01, 0.3, 1)
        .map((minGarbageRatio) => ({ do: 'compact' as const, minGarbageRatio })),
    },
    { weight: 3, arbitrary: anyRange.map((range) => ({ do: 'range' as const, ...range })) },
    { weight: 2, arbitrary: anyRange.map((range) => ({ do: 'hold' as const, ...range })) },
    { weight: 2, arbitrary: fc.constant({ do: 'advance' as const }) },
    { weight: 3, arbitrary: fc.constant({ do: 'snapshot' as const }) },
    { weight: 3, arbitrary: which.map((n) => ({ do: 'readSnapshot' as const, which: n })) },
    { weight: 2, arbitrary: which.map((n) => ({ do: 'closeSnapshot' as const, which: n })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.option(which, { nil: undefined }), fc.constantFrom(7, 4096, 2 ** 20))
        .map(([n, chunkSizeBytes]) => ({ do: 'export' as const, which: n, chunkSizeBytes })),
    },
  ]
  const withFiles = [
    { weight: 2, arbitrary: fc.nat(2).map((keep) => ({ do: 'checkpoint' as const, keep })) },
    {
      weight: 2,
      arbitrary: fc
        .boolean()
        .map((readOnlyBetween) => ({ do: 'reopen' as const, readOnlyBetween })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.boolean(), fc.boolean())
        .map(([sync, goOn]) => ({ do: 'copy' as const, sync, goOn })),
    },
  ]
  const all = fc.oneof<fc.WeightedArbitrary<Operation>[]>(
    ...always,
    ...(options.hasFiles ? withFiles : []),
  )
  return fc.array(all, { minLength: 1, maxLength: options.length, size: 'max' })
}

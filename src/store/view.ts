/** Values as typed arrays over the memory that they lie in. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { forgetViewed, viewed, viewValue } from '../engine/view.js'

/** A typed array's constructor, `DataView` or `Buffer`. */
export interface ViewType<T extends ArrayBufferView> {
  readonly prototype: T
}

type ViewConstructor = new (
  buffer: ArrayBuffer,
  byteOffset: number,
  length: number,
) => ArrayBufferView

const TypedArray = Object.getPrototypeOf(Uint8Array) as abstract new () => ArrayBufferView

// Of the type that was asked for last: most often it is the next one's, too.
let knownType: unknown = Uint8Array
let elementSizeBytes = 1

/** The value of the key at hand. `key` is for messages. */
export function viewAs<T extends ArrayBufferView>(
  engine: Engine,
  keyspaceId: number,
  key: unknown,
  type: ViewType<T>,
): T | undefined {
  const sizeBytes = elementSizeBytes
  if (!viewValue(engine, keyspaceId, sizeBytes)) return undefined
  const { buffer, byteOffset } = viewed
  forgetViewed()
  const length = viewed.sizeBytes / sizeBytes
  if (!Number.isInteger(length)) {
    throw new RangeError(
      `the value of key ${shown(key)} has ${viewed.sizeBytes} bytes, which is no multiple of the ${sizeBytes} bytes of an element of ${nameOf(type)}`,
    )
  }
  // By name: a constructor that is known is no call.
  const asked = type as unknown
  if (asked === Float32Array) return new Float32Array(buffer, byteOffset, length) as unknown as T
  if (asked === Uint8Array) return new Uint8Array(buffer, byteOffset, length) as unknown as T
  if (asked === Buffer) return Buffer.from(buffer, byteOffset, length) as unknown as T
  return new (type as unknown as ViewConstructor)(buffer, byteOffset, length) as T
}

/** Before the key is at hand. Throws `TypeError` for what is no type of a view. */
export function takeViewType(type: unknown): void {
  if (type === knownType) return
  const { prototype } = (typeof type === 'function' ? type : {}) as { prototype?: unknown }
  const isTypedArray = prototype instanceof TypedArray
  const isDataView = type === DataView || prototype instanceof DataView
  if (!isTypedArray && !isDataView) {
    throw new TypeError(
      `type of a view is ${shown(type)}; accepted: a typed array's constructor (Float32Array, …), DataView, Buffer`,
    )
  }
  elementSizeBytes = isTypedArray ? (type as typeof Uint8Array).BYTES_PER_ELEMENT : 1
  knownType = type
}

function nameOf(type: unknown): string {
  return (type as { name: string }).name
}

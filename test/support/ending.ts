/**
 * What a test leaves behind is undone when it ends, the last first: a process is ended before the
 * directory in which it writes is removed. Every ending runs even where another one fails; a child
 * process that nobody ended would keep the test's own process alive.
 */

/** Whatever a test can ask to run something at its end: a `TestContext`. */
export interface Ending {
  after(action: () => void | Promise<void>): void
}

type Action = () => unknown

const endings = new WeakMap<Ending, Action[]>()

/** Runs `action`, and waits for it, when the test ends. */
export function atEnd(test: Ending, action: Action): void {
  const known = endings.get(test)
  if (known !== undefined) {
    known.push(action)
    return
  }
  const actions = [action]
  endings.set(test, actions)
  test.after(async () => {
    const errors: unknown[] = []
    for (const ending of actions.reverse()) {
      try {
        await ending()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  })
}

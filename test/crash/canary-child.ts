/** Runs a harness with a changed source, as the canary or the plan in the argument says. */
import { register } from 'node:module'
import type { Canary, Plan } from './canaries.js'

const { edits, plan } = JSON.parse(process.argv[2]) as Pick<Canary, 'edits' | 'plan'>
register(new URL('./canary-hooks.js', import.meta.url), { data: edits })

// Loaded only now: with the changes.
const { runPlan } = await import('./canary-plan.js')
const failures = await runPlan(plan satisfies Plan)
process.stdout.write(JSON.stringify(failures.slice(0, 3)))
process.exit(0)

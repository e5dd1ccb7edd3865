import { describe, test } from 'vitest'
import * as library from '../../../src/engines/policies/library.ts'
import { rules as breaker } from './rules/breaker.ts'
import { rules as bulkhead } from './rules/bulkhead.ts'
import { rules as degrade } from './rules/degrade.ts'
import { rules as policy } from './rules/policy.ts'
import { rules as retry } from './rules/retry.ts'
import { rules as time } from './rules/time.ts'

describe.each(Object.entries({ breaker, bulkhead, time, retry, policy, degrade }))('%s', (_room, rules) => {
  test.each(rules)('%s', (_name, holds) => holds(library))
})

import { describe, test } from 'vitest'
import * as library from '../../../src/engines/policies/library.ts'
import { rules as breaker } from './rules/breaker.ts'
import { rules as bulkhead } from './rules/bulkhead.ts'

describe.each(Object.entries({ breaker, bulkhead }))('%s', (_room, rules) => {
  test.each(rules)('%s', (_name, holds) => holds(library))
})

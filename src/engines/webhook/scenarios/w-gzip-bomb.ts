import { attemptsOf, cutAnswers } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill } from '../ill.ts'

export const scenario: WebhookScenario = {
  name: 'W-GZIP-BOMB',
  summary: 'a customer answers 200 and a body that would unpack to a thousand times its size: nobody unpacks it, also not to look whether it says what was agreed',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const endpoint = await world.subscribe('customer-1', { patterns: ['order.*'] })
    const attempts = await ill(world, endpoint, 'customer-1', 'gzip_bomb')
    world.expect('it is delivered, and marked', attempts.length === 3 && attempts.every(({ outcome, detail }) => outcome === 'delivered' && detail === 'too_large') && (await cutAnswers(world)) === 3, ends(attempts))
    const strict = await world.subscribe('customer-2', { patterns: ['refund.*'], demand: { pointer: { path: '/ok', value: true } } })
    await world.evil('customer-2', 'gzip_bomb')
    await world.produce({ type: 'refund.issued', data: {} })
    await world.clock.sleep(2000)
    const [asked] = await attemptsOf(world, strict.id)
    world.expect('where a body must say something, one that does not come whole says nothing', asked?.outcome === 'not_proven', `${asked?.outcome}: ${asked?.detail}`)
    const kept = Math.max(0, ...(await attemptsOf(world)).map(({ body }) => body?.length ?? 0))
    world.expect('no more of it is kept than 16 KiB', kept <= 16_384, `${kept} characters`)
    await world.endpoints.setState(strict.id, 'paused', { who: 'the scenario', why: 'it never says what was agreed' })
  },
}

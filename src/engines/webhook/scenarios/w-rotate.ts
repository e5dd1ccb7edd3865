import { keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const OLD = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
const OVERLAP_MS = 10_000
const SPELL_MS = 4000
/** What had arrived before the customer trusted another secret, was judged by the old one, and is answered by then. */
const ANSWERED_MS = 500

export const scenario: WebhookScenario = {
  name: 'W-ROTATE',
  summary: 'a secret is rotated under load, with messages in flight: whoever has the old one or the new one can verify all, afterwards only the new one, and a revoked one signs nothing from now on',
  engine: 'webhook',
  customers: 1,
  // Its customer trusts the wrong secret for a while, and says of good signatures that they are not.
  invariants: ALWAYS.filter((name) => name !== 'w5-signatures-verify'),
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { secret: OLD })
    await using flow = keepSending(world, 50)
    await world.clock.sleep(2000)
    const wrong = () => world.inbox('customer-1').filter(({ signed }) => signed !== 'valid').length
    const spell = async (trusted: readonly string[]) => {
      world.trust('customer-1', trusted)
      await world.clock.sleep(ANSWERED_MS)
      const before = wrong()
      const seen = world.inbox('customer-1').length
      await world.clock.sleep(SPELL_MS)
      return { wrong: wrong() - before, seen: world.inbox('customer-1').length - seen }
    }
    const { secret: second } = await world.endpoints.rotate(id, { overlapMs: OVERLAP_MS, who: 'operator', why: 'it is time' })
    await world.clock.sleep(500)
    const [old, young] = [await spell([OLD]), await spell([second])]
    world.expect('while they overlap, the old one verifies', old.wrong === 0 && old.seen > 100, `${old.wrong} of ${old.seen} rejected`)
    world.expect('while they overlap, the new one verifies', young.wrong === 0 && young.seen > 100, `${young.wrong} of ${young.seen} rejected`)
    await world.clock.sleep(OVERLAP_MS)
    const after = await spell([OLD])
    world.expect('afterwards the old one signs nothing', after.wrong === after.seen && after.seen > 100, `${after.seen - after.wrong} of ${after.seen} taken`)
    world.trust('customer-1', [second])
    const { secret: third } = await world.endpoints.rotate(id, { overlapMs: 0, who: 'operator', why: 'it leaked' })
    await world.clock.sleep(1000)
    const revoked = await spell([second])
    world.expect('a revoked one signs nothing from now on', revoked.wrong === revoked.seen && revoked.seen > 100, `${revoked.seen - revoked.wrong} of ${revoked.seen} taken`)
    const ids = await (world.trust('customer-1', [third]), flow.stop())
    world.expect('what was refused comes again and is taken', await world.settled(300_000), JSON.stringify(await world.counts()))
    const processed = new Set(world.processed('customer-1'))
    world.expect('nothing is lost', ids.every((each) => processed.has(each)), `${processed.size} of ${ids.length}`)
  },
}

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { resil } from './cli.ts'
import { curl, folder, killAll, openAround, order, removeFolders, stand } from './standing.ts'

afterAll(() => {
  killAll()
  removeFolders()
})

describe('pay advise', () => {
  it('reads the newest run, a run by its id, and its file', () => {
    const cwd = folder()
    expect(resil(['pay', '--bank-slow', '--sim', '--seed', '1', '--quiet'], { cwd }).exit).toBe(0)
    const page = resil(['pay', 'advise'], { cwd })
    expect(page).toMatchObject({ exit: 0, stderr: '' })
    expect(page.stdout).toMatch(/^no service became slow; the first pending payment was at \d\.\d s$/m)
    expect(page.stdout).toMatch(/^bank: 1 call, 1 failed/m)
    expect(page.stdout).toContain('too few calls ended well to say what they should be')
    const lines = resil(['pay', 'advise', '--json'], { cwd }).json()
    expect(lines.at(-1)).toMatchObject({ ok: true, answers: { pending: 1 } })
    expect(lines.slice(0, -1).map(({ service }) => service).toSorted()).toEqual(['bank', 'fraud', 'notification'])
  })

  it("reads a service's database, and what it said with --json", async () => {
    const around = await openAround()
    const own = folder()
    const db = join(own, 'payments.db')
    const service = await stand(['pay', 'serve', '--port', '0', '--db', db, ...around.flags])
    for (let n = 0; n < 3; n++) await curl(`${service.ready.url}/v1/payments`, ['-H', `Idempotency-Key: key-${n}`, '--data-raw', order(`advised-${n}`)])
    expect(resil(['pay', 'advise', '--db', db, '--json']).json()).toMatchObject([{ service: 'bank', calls: 3, failed: 0 }, { ok: true, answers: { count: 3, pending: 0, turnedAway: 0 } }])
    const { lines } = await service.stop()
    await around.close()
    const log = join(own, 'service.ndjson')
    writeFileSync(log, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"type":"hop.en`)
    const said = resil(['pay', 'advise', log, '--json'])
    expect(said).toMatchObject({ exit: 0, stderr: '' })
    expect(said.json()).toContainEqual(expect.objectContaining({ service: 'bank', calls: 3, failed: 0 }))
  })

  it('what holds no traffic is refused in a line', () => {
    const cwd = folder()
    mkdirSync(join(cwd, 'sub'))
    writeFileSync(join(cwd, 'empty.ndjson'), '{"type":"ready"}\n')
    writeFileSync(join(cwd, 'text'), 'hello\u001b[31m\n')
    for (const [args, why] of [
      [[], 'there is no run'],
      [['none'], 'there is no run "none"'],
      [['sub'], 'is not a file'],
      [['empty.ndjson'], 'holds no call to a service'],
      [['text'], 'is no recording'],
      [['--db', 'none.db'], 'does not exist'],
      [['text', '--db', 'none.db'], 'are two sources'],
    ] as const) {
      const refused = resil(['pay', 'advise', ...args], { cwd })
      expect(refused).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining(why) })
      expect(refused.stderr.trimEnd()).not.toContain('\n')
    }
    expect(existsSync(join(cwd, 'none.db'))).toBe(false)
  })
})

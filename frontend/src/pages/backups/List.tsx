import { useEffect, useState } from 'preact/hooks'
import { act, asProblem, type ProblemBody } from '../../api'
import { age, counted, moment } from '../../format'
import { ProblemNote } from '../../parts/Asking'
import { asked } from '../../parts/useAsk'
import { at } from '../../router'
import { bytes, type BackupList, type Listed } from './types'

export function List({ list, again }: { list: BackupList; again: () => void }) {
  const [problem, setProblem] = useState<ProblemBody | null>(null)
  const verifying = list.verifying && !list.verifying.error ? list.verifying : null
  useEffect(() => {
    if (!verifying) return
    const timer = window.setTimeout(again, 1_500)
    return () => window.clearTimeout(timer)
  })
  const verify = () =>
    act('/api/backups/verify', {}).then(again, (error: unknown) => setProblem(asProblem(error)))
  const content = sum(list.backups.map((each) => each.row.contentBytes))
  const added = sum(list.backups.map((each) => each.row.addedBytes))
  const most = Math.max(1, ...list.backups.map((each) => each.row.contentBytes ?? 0))
  return (
    <>
      <section class="card summary">
        <div>
          <p class="sum">{list.backups.length.toLocaleString()}</p>
          <p class="dim">{list.backups.length === 1 ? 'backup' : 'backups'}</p>
        </div>
        <div>
          <p class="sum">{content === null ? 'sealed' : bytes(content)}</p>
          <p class="dim">in them</p>
        </div>
        <div>
          <p class="sum">{added === null ? 'sealed' : bytes(added)}</p>
          <p class="dim">
            stored{content && added && content > added ? `, ${(content / added).toFixed(1)} times less` : ''}
          </p>
        </div>
        <div class="grow">
          <p class={`sum ${list.verified ? (harmful(list) ? 'toned bad' : 'toned good') : ''}`}>
            {list.verified ? (harmful(list) ? 'Damaged' : 'Whole') : 'Never verified'}
          </p>
          <p class="dim">
            {list.verified
              ? `verified ${age(list.verified.at)} ago${list.verified.depth === 'content' ? ', every object decrypted' : ', hashes and signatures'}`
              : 'from this machine'}
          </p>
        </div>
        <button class="button" disabled={verifying !== null} onClick={() => void verify()}>
          {verifying ? progress(verifying) : 'Verify now'}
        </button>
      </section>
      {problem && <ProblemNote problem={problem} />}
      {list.verifying?.error && <ProblemNote problem={list.verifying.error} />}
      <table class="table stack" aria-label="Backups">
        <thead>
          <tr>
            <th scope="col">Backup</th>
            <th scope="col">Made</th>
            <th scope="col" class="number">
              Objects
            </th>
            <th scope="col">Size, and what it added</th>
            <th scope="col">State</th>
            <th scope="col">Verified</th>
            <th scope="col">
              <span class="hidden">More</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {list.backups.map((each) => (
            <BackupLine each={each} most={most} isReadable={list.isReadable} />
          ))}
        </tbody>
      </table>
    </>
  )
}

function BackupLine({ each, most, isReadable }: { each: Listed; most: number; isReadable: boolean }) {
  const { row } = each
  const objects = row.contents ? row.contents.kinds.reduce((total, kind) => total + kind.objects, 0) : null
  const missing = row.contents?.unreadable ?? []
  return (
    <tr key={row.name}>
      <th scope="row" class="strong">
        {row.name}
      </th>
      <td data-label="Made" title={moment(row.created)}>{age(row.created)} ago</td>
      <td class="number" data-label="Objects">{objects?.toLocaleString() ?? (row.state === '<sealed>' ? 'sealed' : '')}</td>
      <td data-label="Size">
        <span class="size-bar" aria-hidden="true">
          <span class="size-all" style={{ width: `${(100 * (row.contentBytes ?? 0)) / most}%` }} />
          <span class="size-new" style={{ width: `${(100 * Math.min(row.addedBytes ?? 0, most)) / most}%` }} />
        </span>{' '}
        {bytes(row.contentBytes)} <span class="dim">+{bytes(row.addedBytes)}</span>
      </td>
      <td data-label="State" title={missing.map((one) => `${one.what}: ${one.message}`).join('; ')}>
        <span class={`status ${STATES[row.state]?.[0] ?? 'idle'}`}>
          <span class="shape" aria-hidden="true">
            {STATES[row.state]?.[1] ?? '○'}
          </span>
          {row.state === '<sealed>' ? 'Sealed' : row.state}
        </span>
        {missing.length > 0 && <span class="dim"> without {missing.map((one) => one.what).join(', ')}</span>}
      </td>
      <td data-label="Verified">
        {each.harm.length > 0 ? (
          <span class="status bad" title={each.harm.map((one) => one.message).join('; ')}>
            {counted(each.harm.length, 'part')} damaged
          </span>
        ) : each.verifiedAt ? (
          `${age(each.verifiedAt)} ago`
        ) : (
          <span class="dim">not since</span>
        )}
      </td>
      <td class="links">
        {isReadable && (
          <>
            <a href={at(asked('/backups/browse', { backup: row.name }))}>Look into</a>
            <a href={at(asked('/backups/compare', { old: row.name }))}>Compare</a>
          </>
        )}
      </td>
    </tr>
  )
}

const STATES: Record<string, [string, string]> = {
  Complete: ['good', '●'],
  Incomplete: ['wait', '▲'],
  Damaged: ['bad', '✕'],
}

function harmful(list: BackupList): boolean {
  return list.backups.some((each) => each.harm.length > 0)
}

function progress(verifying: { done: number; total: number }): string {
  const part = verifying.total ? Math.floor((100 * verifying.done) / verifying.total) : 0
  return `Verifying, ${part} %`
}

function sum(values: (number | null)[]): number | null {
  return values.some((each) => each === null) ? null : values.reduce<number>((all, each) => all + (each ?? 0), 0)
}

// Certificates on a time line to their end; time goes slower to the right, as what ends soon matters.

import { useSignal } from '@preact/signals'
import { counted, moment, span } from '../../format'
import { AsOf, Loading, ProblemNote } from '../../parts/Asking'
import { FindingList, type Findings } from '../../parts/Findings'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, place } from '../../router'

interface Row {
  kind: string
  target: string
  purpose?: string
  subject: string
  issuer: string
  serial: string
  notBefore: string
  notAfter: string
  names?: string[]
  key: string
  signature: string
  usages?: string[]
  isAuthority?: boolean
  tlsVersions?: string[]
  sha256: string
}

interface Seen {
  seenAt: string
  total: number
  matching: number
  rows: Row[]
  findings: Findings
}

const DAY = 86_400
// Days from now, and where they are on the line in percent; what has ended is left of 10.
const TICKS: [number, number, string][] = [
  [0, 10, 'now'],
  [7, 28, '7 days'],
  [30, 46, '30 days'],
  [90, 62, '90 days'],
  [365, 80, '1 year'],
  [3650, 98, '10 years'],
]

export function Certificates() {
  const find = place.value.query.get('find') ?? ''
  const answer = useAsk<Seen>(asked('/api/access/certificates', { find }))
  const seen = answer.value
  const opened = useSignal('')
  return (
    <>
      <div class="tools">
        <Search
          value={find}
          label="Filter certificates"
          hint="Filter: a place, a name, an issuer …"
          onChange={(text) => adjust({ find: text })}
        />
        <span class="grow" />
        <AsOf at={seen?.seenAt} isBusy={answer.isBusy} again={() => answer.again('anew=true')} />
      </div>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {!seen && !answer.problem && <Loading what="certificates: every port is greeted" />}
      {seen && seen.total === 0 && (
        <Note
          tone="info"
          title="No certificate was seen"
          hint="What could not be looked at is listed below. Files on hosts are read with: shipkeeper certs list --ssh"
        />
      )}
      {seen && seen.total > 0 && seen.matching === 0 && <Note tone="info" title="None is found by this filter" />}
      {seen && seen.rows.length > 0 && (
        <section class="card line-card" aria-label="Certificates by their end">
          <div class="line-axis" aria-hidden="true">
            {TICKS.map(([, at, word]) => (
              <span style={{ left: `${at}%` }}>{word}</span>
            ))}
          </div>
          <ul class="lines">
            {seen.rows.map((row, index) => {
              const key = `${row.kind} ${row.target} ${row.sha256} ${index}`
              return (
                <Line
                  key={key}
                  row={row}
                  now={Date.parse(seen.seenAt)}
                  isOpen={opened.value === key}
                  onOpen={() => (opened.value = opened.value === key ? '' : key)}
                />
              )
            })}
          </ul>
          {seen.matching > seen.rows.length && (
            <p class="dim">
              The first {seen.rows.length} to end of {seen.matching.toLocaleString()}; filter to see others.
            </p>
          )}
        </section>
      )}
      {seen && (
        <section class="card">
          <h2>What is to be said of them</h2>
          <p class="dim">
            {counted(seen.total, 'certificate')} seen by the API and the ports; what ends within 30 days is told. Files on
            hosts: <code>shipkeeper certs check --ssh</code>
          </p>
          <FindingList found={seen.findings} />
        </section>
      )}
    </>
  )
}

function Line(props: { row: Row; now: number; isOpen: boolean; onOpen: () => void }) {
  const { row, now } = props
  const left = (Date.parse(row.notAfter) - now) / 1000
  const tone = left < 7 * DAY ? 'bad' : left < 30 * DAY ? 'wait' : 'good'
  const at = positionOf(left / DAY)
  const says = left < 0 ? `ended ${long(-left)} ago` : `ends in ${long(left)}`
  return (
    <li class={`line ${tone}`}>
      <button class="line-head" aria-expanded={props.isOpen} onClick={props.onOpen}>
        <span class="line-what" title={`${row.target} ${row.purpose ?? ''}`}>
          <span class="kind">{KINDS[row.kind] ?? row.kind}</span> <span class="line-target">{row.target}</span>
          <span class="dim line-purpose">{row.isAuthority ? 'authority' : (row.purpose ?? '')}</span>
        </span>
        <span class="track" aria-hidden="true">
          <span class="track-now" />
          <span
            class="track-bar"
            style={left < 0 ? { left: `${at}%`, width: `${10 - at}%` } : { left: '10%', width: `${at - 10}%` }}
          />
          <span class={`track-end ${row.isAuthority ? 'authority' : ''}`} style={{ left: `${at}%` }} />
        </span>
        <span class="line-left">{says}</span>
      </button>
      {props.isOpen && (
        <dl class="facts">
          <Fact name="Subject" value={row.subject} />
          <Fact name="Issuer" value={row.issuer} />
          <Fact name="From" value={moment(row.notBefore)} />
          <Fact name="Until" value={moment(row.notAfter)} />
          <Fact name="For" value={row.isAuthority ? 'authority' : (row.usages?.join(', ') ?? 'any')} />
          <Fact name="Names" value={row.names?.join(', ') ?? ''} />
          <Fact name="Key" value={row.key} />
          <Fact name="Signature" value={row.signature} />
          <Fact name="TLS" value={row.tlsVersions?.join(', ') ?? ''} />
          <Fact name="Serial" value={row.serial} />
          <Fact name="SHA-256" value={row.sha256} />
        </dl>
      )}
    </li>
  )
}

const KINDS: Record<string, string> = {
  file: 'File',
  kubeconfig: 'Kubeconfig',
  port: 'Port',
  secret: 'Secret',
  caBundle: 'CA bundle',
  csr: 'Request',
}

function Fact({ name, value }: { name: string; value: string }) {
  if (!value) return null
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

function long(seconds: number): string {
  const years = seconds / (365.25 * DAY)
  return years < 2 ? span(seconds) : `${years.toFixed(years < 9.95 ? 1 : 0)} years`
}

function positionOf(days: number): number {
  if (days < 0) return Math.max(1, 10 - 9 * Math.min(1, -days / 30))
  for (let index = 1; index < TICKS.length; index++) {
    const [until, end] = TICKS[index] as [number, number, string]
    const [from, begin] = TICKS[index - 1] as [number, number, string]
    if (days <= until) return begin + ((days - from) / (until - from)) * (end - begin)
  }
  return 99
}

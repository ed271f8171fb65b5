import { counted } from '../../format'
import { Loading, MissingNote, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, place } from '../../router'
import { BackupChoice } from './BackupChoice'
import { newest, type BackupList, type Change, type Diff } from './types'

const SIGNS: Record<string, [string, string]> = {
  Added: ['good', '+'],
  Removed: ['bad', '−'],
  Changed: ['busy', '~'],
}

export function Compare({ list }: { list: BackupList }) {
  const query = place.value.query
  const old = query.get('old') ?? newest(list)
  const later = query.get('new') ?? ''
  const kind = query.get('kind') ?? ''
  const namespace = query.get('namespace') ?? ''
  const everything = query.get('everything') ?? ''
  const answer = useAsk<Diff>(
    list.isReadable ? asked('/api/backups/diff', { old, new: later, kind, namespace, everything }) : '',
  )
  const found = answer.value
  if (!list.isReadable) return null
  const missing = Object.entries(found?.notCompared ?? {})
  return (
    <>
      <div class="tools">
        <BackupChoice label="From" list={list} value={old} onChange={(name) => adjust({ old: name })} />
        <BackupChoice
          label="to"
          list={list}
          value={later}
          other="the cluster as it is"
          onChange={(name) => adjust({ new: name })}
        />
        <label class="inline">
          <span class="label">Kind</span>
          <input
            class="field"
            defaultValue={kind}
            placeholder="every kind"
            spellcheck={false}
            onChange={(event) => adjust({ kind: event.currentTarget.value.trim() })}
          />
        </label>
        <label class="inline">
          <span class="label">Namespace</span>
          <input
            class="field"
            defaultValue={namespace}
            placeholder="every namespace"
            spellcheck={false}
            onChange={(event) => adjust({ namespace: event.currentTarget.value.trim() })}
          />
        </label>
        <label class="tick-label">
          <input
            type="checkbox"
            checked={everything === 'true'}
            onChange={(event) => adjust({ everything: event.currentTarget.checked ? 'true' : '' })}
          />
          Also Events, Leases and the like
        </label>
      </div>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {!found && !answer.problem && <Loading what="both sides" />}
      {found && (
        <>
          <MissingNote title="You may not list everything, so not everything is compared" missing={found.missing} />
          {missing.length > 0 && (
            <Note
              tone="wait"
              title={`${counted(missing.length, 'kind')} could not be compared`}
              hint={missing.map(([what, why]) => `${what}: ${why}`).join('; ')}
            />
          )}
          {found.total === 0 ? (
            <Note
              tone="good"
              title="Nothing is different"
              hint="Defaults, status and what servers set are no differences."
            />
          ) : (
            <p class="dim" aria-live="polite">
              {counted(found.total, 'difference')} from {found.old} to {found.new}
              {found.total > found.changes.length && `, the first ${found.changes.length} shown`}
            </p>
          )}
          <div class="changes">
            {found.changes.map((each) => (
              <ChangeLine key={`${each.kind}/${each.namespace}/${each.name}`} each={each} />
            ))}
          </div>
        </>
      )}
    </>
  )
}

function ChangeLine({ each }: { each: Change }) {
  const [tone, sign] = SIGNS[each.change] ?? ['idle', '?']
  return (
    <section class="change card">
      <p>
        <span class={`goal ${tone}`}>
          {sign} {each.change}
        </span>{' '}
        <span class="kind">{each.kind}</span>
        {each.namespace && <span class="dim">{each.namespace}/</span>}
        <span class="strong">{each.name}</span>
      </p>
      {each.fields.length > 0 && (
        <dl class="fields">
          {each.fields.map((field) => (
            <div>
              <dt class="mono">{field.field}</dt>
              <dd>
                {field.old !== null && <del class="mono">{field.old}</del>}
                {field.new !== null && <ins class="mono">{field.new}</ins>}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}

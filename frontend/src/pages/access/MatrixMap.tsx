// Who may do what, as a heat map: the more of the verbs, the hotter; letters say the same in words.

import { useSignal } from '@preact/signals'
import { Loading, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, at, place } from '../../router'
import { shortName } from './names'
import { isUnsure, type Head, type PolicyHead } from './types'

interface Cell {
  heat: number
  letters: string
  verbs: string[]
}

interface MatrixAnswer extends Head {
  matrix: {
    subjects: number
    resources: string[]
    legend: string
    rows: { kind: string; name: string; cells: Cell[] }[]
  }
}

function noneWord(q: string, isUnsure: boolean): string {
  if (q) return 'No subject is found by this filter'
  return isUnsure ? 'Nobody is bound to anything that could be read' : 'Nobody is bound to anything'
}

export function MatrixMap({ head }: { head: PolicyHead }) {
  const query = place.value.query
  const q = query.get('q') ?? ''
  const namespace = query.get('namespace') ?? ''
  const resources = query.get('resources') ?? ''
  const answer = useAsk<MatrixAnswer>(asked('/api/access/matrix', { q, namespace, resources, of: head.readAt }))
  const chosen = useSignal<{ kind: string; name: string; resource: string; verbs: string[] } | null>(null)
  const found = answer.value?.matrix
  return (
    <>
      <div class="tools">
        <Search value={q} label="Filter subjects" hint="Filter: kind/name" onChange={(text) => adjust({ q: text })} />
        <label class="inline">
          <span class="label">In namespace</span>
          <select
            class="field"
            value={namespace}
            onChange={(event) => adjust({ namespace: event.currentTarget.value })}
          >
            <option value="">all of them</option>
            {head.namespaces.map((each) => (
              <option value={each}>{each}</option>
            ))}
          </select>
        </label>
        <label class="inline grow">
          <span class="label">Resources</span>
          <input
            class="field wide mono"
            defaultValue={resources}
            placeholder={head.resources.join(', ')}
            spellcheck={false}
            onChange={(event) => adjust({ resources: event.currentTarget.value.trim() })}
          />
        </label>
      </div>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {!found && !answer.problem && <Loading what="the matrix" />}
      {found && found.rows.length === 0 && (
        <Note
          tone="info"
          title={noneWord(q, answer.value !== undefined && isUnsure(answer.value))}
          hint={q ? 'Subjects are those that bindings name.' : 'Subjects show here as soon as a binding names them.'}
        />
      )}
      {found && found.rows.length > 0 && (
        <>
          <div class="heat-frame" tabIndex={0} role="region" aria-label="Heat map">
            <table class="heat-map" aria-label="What subjects may do">
              <thead>
                <tr>
                  <th scope="col">Subject</th>
                  {found.resources.map((each) => (
                    <th scope="col">{each}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {found.rows.map((row) => (
                  <tr key={`${row.kind}/${row.name}`}>
                    <th scope="row" title={`${row.kind} ${row.name}`}>
                      <span class="kind">{row.kind}</span> {shortName(row.kind, row.name)}
                    </th>
                    {row.cells.map((cell, index) => {
                      const resource = found.resources[index] ?? ''
                      const says = `${row.name}: ${cell.verbs.join(', ') || 'nothing'} on ${resource}`
                      return (
                        <td class={`heat-${cell.heat}`}>
                          <button
                            class="heat-cell"
                            title={says}
                            onClick={() =>
                              (chosen.value = { kind: row.kind, name: row.name, resource, verbs: cell.verbs })
                            }
                          >
                            <span aria-hidden="true">{cell.letters}</span>
                            <span class="hidden">{says}</span>
                          </button>
                        </td>
                      )
                    })}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <p class="dim">
            {found.legend}
            {found.subjects > 200 && `; 200 of ${found.subjects.toLocaleString()} subjects: filter to see others`}
          </p>
        </>
      )}
      {chosen.value && (
        <section class="card chosen" aria-live="polite">
          <p>
            <span class="kind">{chosen.value.kind}</span> <span class="strong">{chosen.value.name}</span> on{' '}
            <span class="mono">{chosen.value.resource}</span>: {chosen.value.verbs.join(', ') || 'nothing'}
          </p>
          <p class="links">
            {(chosen.value.verbs.length ? chosen.value.verbs : ['get']).map((verb) => (
              <a
                href={at(
                  asked('/access/explain', {
                    q: `${verb} ${chosen.value?.resource}${namespace ? ` -n ${namespace}` : ''}`,
                    who: `${chosen.value?.kind.toLowerCase()}/${chosen.value?.name}`,
                  }),
                )}
              >
                Why {verb}
              </a>
            ))}
          </p>
        </section>
      )}
    </>
  )
}

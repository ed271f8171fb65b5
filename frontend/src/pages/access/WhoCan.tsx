import { Loading, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, at, place } from '../../router'
import { shortName } from './names'
import { QuestionBox } from './QuestionBox'
import { isUnsure, type Holder, type PolicyHead, type WhoCanAnswer } from './types'

export function WhoCan({ head }: { head: PolicyHead }) {
  const q = place.value.query.get('q') ?? ''
  const find = place.value.query.get('find') ?? ''
  const answer = useAsk<WhoCanAnswer>(q ? asked('/api/access/who-can', { q, find, of: head.readAt }) : '')
  const found = answer.value
  return (
    <>
      <QuestionBox
        label="Who can …"
        value={q}
        hint="verb resource [name] [-n namespace]"
        examples={['get secrets', 'create pods/exec', 'delete nodes', 'get secrets -n kube-system', 'get /metrics']}
        onAsk={(text) => adjust({ q: text, find: '' })}
      />
      {answer.problem && <ProblemNote problem={answer.problem} />}
      {q && !found && !answer.problem && <Loading what="the answer" />}
      {!q && (
        <Note
          tone="info"
          title="Ask who can do something"
          hint="The answer is worked out from the cluster's own roles, bindings and authorizers, with implicit groups; nobody is impersonated for it."
        />
      )}
      {found && (
        <>
          <div class="tools">
            <p>
              <span class="strong">{found.total.toLocaleString()}</span>{' '}
              {found.total === 1 ? 'subject may' : 'subjects may'} <span class="mono">{found.question}</span>
              {isUnsure(found) && <span class="dim">, as far as could be read</span>}
            </p>
            <span class="grow" />
            {found.total > 10 && (
              <Search value={find} label="Filter" hint="Filter by name" onChange={(text) => adjust({ find: text })} />
            )}
          </div>
          {found.webhooks.length > 0 && (
            <Note
              tone="wait"
              title={`The webhook ${found.webhooks.join(', ')} was not asked: it may allow or deny besides`}
            />
          )}
          {found.holders.length > 0 && <Holders holders={found.holders} q={q} />}
          {found.matching > found.holders.length && (
            <p class="dim">
              The first {found.holders.length} of {found.matching.toLocaleString()}; filter to see others.
            </p>
          )}
          {found.total > 0 && found.matching === 0 && <p class="dim">Nobody is found by this filter.</p>}
        </>
      )}
    </>
  )
}

function Holders({ holders, q }: { holders: Holder[]; q: string }) {
  return (
    <table class="table stack holders" aria-label="Who can">
      <thead>
        <tr>
          <th scope="col">Who</th>
          <th scope="col">Where</th>
          <th scope="col">By</th>
          <th scope="col">
            <span class="hidden">More</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {holders.map((each) => (
          <tr key={`${each.kind}/${each.name}/${each.namespace}/${each.by}`}>
            <th scope="row" title={each.name}>
              <span class="kind">{each.kind}</span>
              {shortName(each.kind, each.name)}
              {each.group && <span class="dim"> in {each.group}</span>}
            </th>
            <td data-label="Where">{each.namespace ? `namespace ${each.namespace}` : <span class="dim">everywhere</span>}</td>
            <td data-label="By" title={each.rule ? `${each.by}: ${each.rule}` : each.by}>
              <span class="dim">{each.authorizer}</span> {each.by}
            </td>
            <td class="links">
              <a href={at(asked('/access/explain', { q: within(q, each), who: `${each.kind.toLowerCase()}/${each.name}` }))}>
                Why
              </a>
              {each.kind !== 'Node' && each.name !== '*' && (
                <a href={at(asked('/access/escalation', { walk: encodeURIComponent(`${each.kind}/${each.name}`) }))}>
                  What else
                </a>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** The question as it is about one holder: in their namespace, if they have it in one alone. */
function within(q: string, holder: Holder): string {
  return holder.namespace && !/(^|\s)(-n|--namespace)/.test(q) ? `${q} -n ${holder.namespace}` : q
}

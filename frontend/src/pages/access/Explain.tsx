import { useEffect, useRef } from 'preact/hooks'
import { Loading, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, place } from '../../router'
import { QuestionBox } from './QuestionBox'
import { isUnsure, type Explained, type Head, type Leg, type PolicyHead } from './types'

export function Explain({ head }: { head: PolicyHead }) {
  const query = place.value.query
  const q = query.get('q') ?? ''
  const who = query.get('who') ?? ''
  const groups = query.get('groups') ?? ''
  const answer = useAsk<Head & { explained: Explained }>(
    q ? asked('/api/access/explain', { q, who, groups, of: head.readAt }) : '',
  )
  const found = answer.value?.explained
  return (
    <>
      <div class="who">
        <WhoField
          label="Who"
          hint="yourself"
          value={who}
          list="subjects"
          onChange={(text) => adjust({ who: text })}
        />
        <WhoField
          label="With the groups besides"
          hint="none"
          value={groups}
          onChange={(text) => adjust({ groups: text })}
        />
        <datalist id="subjects">
          {head.subjects.map((each) => (
            <option value={each} />
          ))}
        </datalist>
      </div>
      <QuestionBox
        label="May they …"
        value={q}
        hint="verb resource [name] [-n namespace]"
        examples={['get secrets -n default', 'create pods -n default', 'impersonate users', 'delete nodes']}
        onAsk={(text) => adjust({ q: text })}
      />
      {answer.problem && <ProblemNote problem={answer.problem} />}
      {q && !found && !answer.problem && <Loading what="the answer" />}
      {!q && (
        <Note
          tone="info"
          title="Ask whether somebody may do something"
          hint="A yes is shown with the binding, role and rule that it comes by; a no with what comes near to a yes."
        />
      )}
      {answer.value && <Answer found={answer.value.explained} isSure={!isUnsure(answer.value)} />}
    </>
  )
}

function WhoField(props: {
  label: string
  hint: string
  value: string
  list?: string
  onChange: (text: string) => void
}) {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = props.value
  }, [props.value])
  return (
    <label>
      <span class="label">{props.label}</span>
      <input
        ref={input}
        class="field wide mono"
        list={props.list}
        placeholder={props.hint}
        defaultValue={props.value}
        spellcheck={false}
        autocomplete="off"
        onChange={(event) => props.onChange(event.currentTarget.value.trim())}
      />
    </label>
  )
}

/** In a word, and whether it is good; a no is none where not all that decides could be read. */
function verdictOf(found: Explained, isSure: boolean): { word: string; tone: string; says: string } {
  if (found.allowed) return { word: 'Yes', tone: 'good', says: 'may' }
  if (!found.known) return { word: 'It depends', tone: 'wait', says: 'may perhaps' }
  if (!isSure) return { word: 'Not by what could be read', tone: 'wait', says: 'may perhaps not' }
  return { word: 'No', tone: 'bad', says: 'may not' }
}

function Answer({ found, isSure }: { found: Explained; isSure: boolean }) {
  const { answer, words = [], nearMisses = [], groups = [] } = found.found
  const { word, tone, says } = verdictOf(found, isSure)
  return (
    <section class="card answer" aria-label="Answer">
      <p class={`answer-word ${tone}`}>{word}</p>
      <p>
        <span class="strong">{found.found.user}</span>{' '}
        {groups.length > 0 && <span class="dim">({groups.join(', ')})</span>}{' '}
        {says}{' '}
        <span class="mono">{found.found.question}</span>
      </p>
      {(answer.unasked?.length ?? 0) > 0 && (
        <p>The webhook {answer.unasked?.join(', ')} was not asked; its word could turn this.</p>
      )}
      {found.path.length > 0 && <Path legs={found.path} />}
      {words.length > 0 && (
        <details open={!found.allowed}>
          <summary>What each authorizer says</summary>
          <ul class="words">
            {words.map((each) => (
              <li>
                <span class="strong">{each.authorizer}</span> {OPINIONS[each.decision] ?? each.decision}
                <span class="dim"> {each.rule || each.reason || each.error || ''}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      {!found.allowed && (
        <div class="near">
          <h2>What comes near</h2>
          {nearMisses.length === 0 && (
            <p class="dim">
              {isSure
                ? 'No binding or role comes near to allowing it.'
                : 'No binding or role that could be read comes near to allowing it.'}
            </p>
          )}
          {nearMisses.map((each) => (
            <div class="miss">
              <p>{each.what}</p>
              <p class="remedy">
                <span class="strong">To allow it</span> {each.mend}
              </p>
              {(each.role ?? each.binding) !== undefined && (
                <details>
                  <summary>The mended object</summary>
                  <pre class="code" tabIndex={0} aria-label="The mended object">
                    {JSON.stringify(each.role ?? each.binding, null, 2)}
                  </pre>
                </details>
              )}
            </div>
          ))}
        </div>
      )}
    </section>
  )
}

const OPINIONS: Record<string, string> = {
  Allow: 'allows it',
  Deny: 'denies it',
  NoOpinion: 'has no opinion',
  Unknown: 'was not asked',
}

function Path({ legs }: { legs: Leg[] }) {
  return (
    <ol class="path" aria-label="By which way">
      {legs.map((each) => (
        <li class={`leg ${each.kind === 'Request' ? 'good' : ''}`}>
          <span class="kind">{each.kind}</span>
          <span class="leg-name">{each.name}</span>
          {each.detail && <span class="dim">{each.detail}</span>}
        </li>
      ))}
    </ol>
  )
}

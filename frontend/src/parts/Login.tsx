import { useState } from 'preact/hooks'
import { asProblem, type ProblemBody } from '../api'
import { begin, logIn, logInByCertificate, type Door } from '../session'
import { base } from '../router'
import { OtherClusters } from './Choice'
import { Icon } from './Icon'
import { Note } from './Note'

export function Login({ door, was }: { door: Door; was: boolean }) {
  return (
    <main class="alone">
      <div class="login">
        <p class="login-brand">
          <Icon name="wheel" /> shipkeeper
        </p>
        {was && <Note tone="info" title="Your session has ended" />}
        {door.way === 'link' ? <ByLink /> : <ByToken door={door} />}
        {base && <OtherClusters />}
      </div>
    </main>
  )
}

export function ByLink() {
  const wasUsed = location.hash === '#used'
  return (
    <>
      <h1>Open the link from the terminal</h1>
      {wasUsed && <Note tone="wait" title="That link was used already, or belongs to a console that has ended" />}
      <p>
        This console belongs to whoever started <code>shipkeeper serve</code>. It printed a link that
        works once; after each use it prints the next.
      </p>
      <button class="button" onClick={() => void begin()}>
        I have logged in elsewhere in this browser
      </button>
    </>
  )
}

function ByToken({ door }: { door: Door }) {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState<ProblemBody | null>(null)
  const [isBusy, setBusy] = useState(false)
  async function entering(enter: () => Promise<void>) {
    setBusy(true)
    setProblem(null)
    try {
      await enter()
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        void entering(() => logIn(token))
      }}
    >
      <h1>Log in{door.context && ` to ${door.context}`}</h1>
      {door.certificate !== null && (
        <button
          type="button"
          class="button primary"
          disabled={isBusy}
          onClick={() => void entering(logInByCertificate)}
        >
          As {door.certificate}, by certificate
        </button>
      )}
      {door.takesCertificates && door.certificate === null && (
        <p class="dim">A client certificate of the cluster would log in, too; this browser showed none.</p>
      )}
      <p>
        With a token that {door.context ? `cluster ${door.context}` : 'the cluster'} knows: a ServiceAccount's, or the
        one of your identity provider. Everything here is then done as you.
        {door.context && ' No other cluster gets to see it.'}
      </p>
      <label class="label" for="token">
        Token
      </label>
      <input
        id="token"
        class="field wide"
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={token}
        onInput={(event) => setToken(event.currentTarget.value)}
        required
        autoFocus
      />
      {problem && <Note tone="bad" title={problem.message} hint={problem.hint} />}
      <button class="button primary" disabled={isBusy || !token}>
        {isBusy ? 'Asking the cluster …' : 'Log in'}
      </button>
    </form>
  )
}

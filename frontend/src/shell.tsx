// What stands around every page: navigation, the state of things, help, and the way in.

import { signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { PAGES } from './pages'
import { allShortcuts, onKey } from './keys'
import { named } from './clusters'
import { at, base, follow, go, place } from './router'
import { begin, logOut, state, type Session } from './session'
import { theme, turnTheme } from './theme'
import { Choice, OtherClusters } from './parts/Choice'
import { ClusterList, useClusters } from './parts/ClusterList'
import { ClusterSwitch } from './parts/ClusterSwitch'
import { Dialog } from './parts/Dialog'
import { Icon } from './parts/Icon'
import { Note } from './parts/Note'
import { Login } from './parts/Login'

const helpIsOpen = signal(false)
const jumpIsOpen = signal(false)

export function Shell() {
  const now = state.value
  switch (now.kind) {
    case 'asking':
      return <main class="alone" aria-busy="true" />
    case 'away':
      return (
        <main class="alone">
          <div class="login">
            <Note tone="bad" title={now.problem.message} hint={now.problem.hint}>
              {now.problem.reason === 'OneCluster' ? (
                <a class="button" href="/">
                  To the cluster of this console
                </a>
              ) : (
                <button class="button" onClick={() => void begin()}>
                  Try again
                </button>
              )}
            </Note>
            {base && <OtherClusters />}
          </div>
        </main>
      )
    case 'choosing':
      return <Choice />
    case 'out':
      return <Login door={now.door} was={now.was} />
    case 'in':
      return <Inside session={now.session} />
  }
}

function Inside({ session }: { session: Session }) {
  const first = session.pages[0]?.name ?? ''
  const name = place.value.page || first
  const Page = PAGES[name]
  const title = session.pages.find((each) => each.name === name)?.title ?? 'Not found'

  useEffect(() => {
    document.title = [title, ...(base ? [session.context] : []), 'shipkeeper'].join(' · ')
  }, [title])
  useEffect(() => {
    const ends = [
      onKey('?', 'this help', () => (helpIsOpen.value = true)),
      onKey(':', base ? 'go to a page, or to another cluster' : 'go to a page', () => (jumpIsOpen.value = true)),
    ]
    return () => ends.forEach((end) => end())
  }, [])

  return (
    <div class="frame" onClick={follow}>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={at(`/${first}`)} aria-label="shipkeeper, first page">
          <Icon name="wheel" />
          <span>shipkeeper</span>
        </a>
        <nav class="tabs" aria-label="Pages">
          {session.pages.map((each) => (
            <a href={at(`/${each.name}`)} aria-current={each.name === name ? 'page' : undefined}>
              {each.title}
            </a>
          ))}
        </nav>
        <div class="top-end">
          {base ? (
            <ClusterSwitch name={session.context} server={session.cluster} />
          ) : (
            <span class="cluster" title={session.cluster}>
              {session.context || session.cluster.replace(/^https?:\/\//, '')}
            </span>
          )}
          <button
            class="plain"
            onClick={turnTheme}
            aria-label={`Colours: ${theme.value}; change`}
            title={`Colours: ${theme.value}`}
          >
            <Icon name={theme.value === 'dark' ? 'moon' : theme.value === 'light' ? 'sun' : 'half'} />
          </button>
          <button
            class="plain"
            onClick={() => (helpIsOpen.value = true)}
            aria-label="Help and keys"
            title="Help and keys (?)"
          >
            <Icon name="help" />
          </button>
          <UserMenu session={session} />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {Page ? (
          <Page key={name} />
        ) : (
          <div class="page">
            <Note tone="info" title="There is no such page" hint="Choose one above, or press : to jump.">
              <a class="button" href={at(`/${first}`)}>
                To the first page
              </a>
            </Note>
          </div>
        )}
      </main>
      {helpIsOpen.value && <Help onClose={() => (helpIsOpen.value = false)} />}
      {jumpIsOpen.value && <Jump session={session} onClose={() => (jumpIsOpen.value = false)} />}
    </div>
  )
}

function UserMenu({ session }: { session: Session }) {
  return (
    <details class="menu">
      <summary aria-label={`Logged in as ${session.user}`} title={session.user}>
        <Icon name="person" />
      </summary>
      <div class="menu-body">
        <p class="strong">{session.user}</p>
        {session.groups.length > 0 && <p class="dim">{session.groups.join(', ')}</p>}
        <p class="dim">
          {session.isLocal
            ? 'Everything is done with the kubeconfig that the console was started with.'
            : 'Everything is done with your own token.'}
        </p>
        <p class="dim">shipkeeper {session.version}</p>
        <button class="button" onClick={() => void logOut()}>
          Log out
        </button>
      </div>
    </details>
  )
}

function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {allShortcuts().map((each) => (
          <div>
            <dt>
              <kbd>{each.key === 'Escape' ? 'Esc' : each.key}</kbd>
            </dt>
            <dd>{each.does}</dd>
          </div>
        ))}
        {!allShortcuts().some((each) => each.key === 'Escape') && (
          <div>
            <dt>
              <kbd>Esc</kbd>
            </dt>
            <dd>close what is open</dd>
          </div>
        )}
      </dl>
      <p class="dim">
        Filters take words that must be found, <code>-word</code> for not, and keys such as{' '}
        <code>zone:a</code>, <code>pool:web</code>, <code>is:blocked</code>, <code>version:1.36</code>.
      </p>
    </Dialog>
  )
}

function Jump({ session, onClose }: { session: Session; onClose: () => void }) {
  const typed = useSignal('')
  const found = () =>
    session.pages.filter((each) => each.title.toLowerCase().includes(typed.value.toLowerCase()))
  const all = base ? useClusters() : null
  const clusters = named(all?.clusters ?? [], typed.value)
  return (
    <Dialog title="Go to" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const [page, cluster] = [found()[0], clusters[0]]
          if (page) go(`/${page.name}`)
          else if (cluster) location.assign(`${cluster.path}/${place.value.page}`)
          onClose()
        }}
      >
        <input
          class="field wide"
          aria-label={base ? 'Page or cluster' : 'Page'}
          placeholder={base ? 'fleet, journal, a cluster …' : 'fleet, journal …'}
          autoFocus
          onInput={(event) => (typed.value = event.currentTarget.value)}
        />
      </form>
      <ul class="jump">
        {found().map((each, index) => (
          <li>
            <a href={at(`/${each.name}`)} onClick={onClose} class={index === 0 && typed.value ? 'is-first' : ''}>
              {each.title}
            </a>
          </li>
        ))}
      </ul>
      {found().length + clusters.length === 0 && <p class="dim">Nothing has this name.</p>}
      {all && clusters.length > 0 && (
        <>
          <h3>Clusters</h3>
          <ClusterList clusters={clusters} way={all.way} onward={`/${place.value.page}`} />
        </>
      )}
    </Dialog>
  )
}

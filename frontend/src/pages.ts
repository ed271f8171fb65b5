// The pages by name, as the server lists them in /api/session; see docs/console.md.

import type { ComponentType } from 'preact'
import { AccessPage } from './pages/access/AccessPage'
import { BackupsPage } from './pages/backups/BackupsPage'
import { FleetPage } from './pages/fleet/FleetPage'
import { JournalPage } from './pages/journal/JournalPage'
import { UpgradePage } from './pages/upgrade/UpgradePage'
import { RunPage } from './pages/run/RunPage'

export const PAGES: Record<string, ComponentType> = {
  fleet: FleetPage,
  run: RunPage,
  journal: JournalPage,
  access: AccessPage,
  backups: BackupsPage,
  upgrade: UpgradePage,
}

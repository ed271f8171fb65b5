// The pages by name, as the server lists them in /api/session; see docs/console.md.

import type { ComponentType } from 'preact'
import { FleetPage } from './pages/fleet/FleetPage'

export const PAGES: Record<string, ComponentType> = {
  fleet: FleetPage,
}

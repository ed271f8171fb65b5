"""`python -m shipkeeper.sandbox.hollow`: the agent as a process."""

import asyncio
import contextlib
import logging
import os
import signal
import sys

from shipkeeper.errors import ShipkeeperError
from shipkeeper.sandbox.hollow.agent import run
from shipkeeper.sandbox.hollow.options import AgentOptions, parse_options


async def _run_until_asked_to_stop(options: AgentOptions) -> None:
    agent = asyncio.create_task(run(options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await agent


def main() -> int:
    """Run the agent until SIGTERM; exit 1 when the cluster cannot be reached at the start."""
    # Whoever may write to the socket may do what the kubeconfig allows.
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_run_until_asked_to_stop(parse_options(sys.argv[1:])))
    except ShipkeeperError as error:
        logging.getLogger(__name__).error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

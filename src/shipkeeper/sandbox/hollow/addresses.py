"""Addresses for what does not exist: none of them leads off this machine or to a real host."""

from ipaddress import IPv4Address, IPv4Network

from shipkeeper.sandbox.hollow.values import HollowError

# A loopback address: whoever calls a hollow kubelet is refused at once.
NODE_NETWORK = IPv4Network("127.64.0.0/10")
# Endpoints may not be loopback addresses; this range is for benchmarks alone (RFC 2544).
POD_NETWORK = IPv4Network("198.18.0.0/15")


class AddressPool:
    """Hands out the addresses of a network, each to one holder at a time."""

    def __init__(self, network: IPv4Network) -> None:
        self._network = network
        self._last = 0
        self._taken: set[str] = set()
        self._of_holder: dict[str, str] = {}

    def take(self, holder: str) -> str:
        """The address of a holder; those given back are used again as late as possible.

        HollowError when every address is taken.
        """
        if holder not in self._of_holder:
            self.claim(holder, self._free_address())
        return self._of_holder[holder]

    def claim(self, holder: str, address: str) -> None:
        """Note the address that a holder has already."""
        self._of_holder[holder] = address
        self._taken.add(address)

    def give_back(self, holder: str) -> None:
        """Let the address of a holder, if it has one, be used again."""
        self._taken.discard(self._of_holder.pop(holder, ""))

    def _free_address(self) -> str:
        size = self._network.num_addresses - 2
        for _ in range(size):
            self._last = self._last % size + 1
            address = str(IPv4Address(int(self._network.network_address) + self._last))
            if address not in self._taken:
                return address
        raise HollowError(f"every address of {self._network} is taken", reason="NoAddress")

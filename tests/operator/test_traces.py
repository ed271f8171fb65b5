"""Traces of the operator's runs, as somebody receives them."""

from tests.nodes.world import World
from tests.operator.harbour import NAMESPACE, Harbour
from tests.traces.receiver import Receiver


async def test_a_run_that_is_handed_over_is_one_trace(world: World, harbour: Harbour) -> None:
    first, second = await world.add_nodes(2)
    with Receiver() as receiver:
        leader = harbour.start_command("-n", NAMESPACE, environment=receiver.environment)
        await leader.leads()
        await harbour.maintain("traced", (first, second), action={"wait": "5s"})
        receiver.await_span("drain")
        leader.kill()
        other = harbour.start_command("-n", NAMESPACE, environment=receiver.environment)
        await harbour.reaches("traced", "Succeeded")
        assert await other.stop() == 0
        run = receiver.named("run maintain")
    assert {each.trace for each in receiver.spans} == {run.trace}
    assert {each.parent for each in receiver.spans if each is not run} == {run.id}
    steps = [each.attributes.get("shipkeeper.step.id") for each in receiver.spans]
    assert len(steps) == len(set(steps))
    drained = {each.attributes["k8s.node.name"] for each in receiver.spans if each.name == "drain"}
    assert drained == {first, second}
    assert run.outcome == "Succeeded"


async def test_who_does_not_receive_is_told_of_and_spoils_nothing(
    world: World, harbour: Harbour
) -> None:
    nodes = await world.add_nodes(1)
    with Receiver(status=401) as receiver:
        leader = harbour.start_command("-n", NAMESPACE, environment=receiver.environment)
        await harbour.maintain("untraced", nodes)
        await harbour.reaches("untraced", "Succeeded")
        await leader.says(f"traces were lost: {receiver.address} answers with HTTP status 401")
        assert await leader.stop() == 0

"""Throttling to a rate of RU/s, at start and through the control port."""

import time

import pytest
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from everscore_local.cosmos.charges import Budget

from .conftest import KEY


def test_a_budget_grants_its_rate():
    """Over ten seconds of a clock of our own a budget of 100 RU/s grants 1,000 RU and one second's store."""
    now = [0.0]
    budget = Budget(lambda: now[0])
    granted = 0.0
    while now[0] < 10:
        wait = budget.wait_ms(100)
        if wait:
            now[0] += wait / 1000
        else:
            budget.spend(7)
            granted += 7
    assert 1000 <= granted <= 1115


def test_a_budget_lets_one_request_overdraw_and_then_pays_off():
    """A request dearer than a second's worth is granted, and the next waits until the debt is paid."""
    now = [0.0]
    budget = Budget(lambda: now[0])
    assert budget.wait_ms(100) == 0
    budget.spend(600)
    assert 5000 <= budget.wait_ms(100) <= 5001
    now[0] = 5.1
    assert budget.wait_ms(100) == 0
    assert budget.wait_ms(None) == 0


async def test_a_throttled_write_is_429_with_the_time_to_wait(start, pk):
    """At 10 RU/s the second write is refused with 429/3200 and x-ms-retry-after-ms, and nothing is written."""
    stand_in = start("--rus", "10")
    async with CosmosClient(
        stand_in.url, KEY, retry_throttle_total=1, retry_throttle_backoff_max=1, retry_fixed_interval=1
    ) as client:
        container = client.get_database_client("everscore").get_container_client("events")
        creates = [("create", ({"id": f"i{n}", "pk": pk, "t": "x" * 500},)) for n in range(20)]
        await container.execute_item_batch(creates, partition_key=pk)
        with pytest.raises(CosmosHttpResponseError) as caught:
            await container.execute_item_batch([("create", ({"id": "more", "pk": pk},))], partition_key=pk)
    assert (caught.value.status_code, caught.value.sub_status) == (429, 3200)
    assert int(caught.value.headers["x-ms-retry-after-ms"]) > 1000
    state = stand_in.control("GET", "/state")
    assert (state["documents"], state["throttledRequests"]) == (20, 2)


async def test_the_sdk_waits_as_it_is_told_and_gets_through(stand_in, container, pk):
    """Throttled for two seconds, the SDK's own retries bring every write through; afterwards the rate is as before."""
    before = stand_in.control("GET", "/state")
    assert before["rus"] is None
    assert stand_in.control("POST", "/throttle", {"rus": 5, "seconds": 2}) == {"rus": 5}
    begin = time.monotonic()
    for n in range(8):
        await container.create_item({"id": str(n), "pk": pk})
    assert time.monotonic() - begin > 0.5  # 5.5 RU each at 5 a second, of which the first 5 are free
    state = stand_in.control("GET", "/state")
    assert state["throttledRequests"] > before["throttledRequests"]
    assert state["documents"] == before["documents"] + 8
    while stand_in.control("GET", "/state")["rus"] is not None:
        pass


async def test_reading_the_account_and_containers_is_not_throttled(stand_in, container):
    """Metadata is answered while items are refused."""
    stand_in.control("POST", "/throttle", {"rus": 0.001, "seconds": 60})
    try:
        async with CosmosClient(stand_in.url, KEY) as client:
            await client.get_database_client("everscore").get_container_client("events").read()
    finally:
        stand_in.control("POST", "/throttle", {"rus": None, "seconds": 0})


def test_wrong_orders_are_refused(stand_in):
    """A rate that is no rate, and a field that is not known, are 400 with a sentence."""
    for order in ({"rus": 0}, {"rus": -1, "seconds": 1}, {"rate": 5}, [], {"seconds": 1}):
        status, answer = stand_in.control_raw("POST", "/throttle", order)
        assert status == 400
        assert answer["error"]

"""What stays on this machine goes through no proxy, whatever the environment says of proxies."""

from __future__ import annotations

import pytest

from everscore_local.loopback import without_proxy

OURS = "localhost,127.0.0.1,::1,[::1]"


@pytest.mark.parametrize(
    "proxy", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
)
def test_hole_31_any_proxy_leads_to_the_exceptions(proxy: str):
    """Hole 31: each variable that can name a proxy is answered by both names of the exceptions."""
    assert without_proxy({proxy: "http://proxy:3128"}) == {"no_proxy": OURS, "NO_PROXY": OURS}


@pytest.mark.parametrize(
    "environment", [{}, {"HTTP_PROXY": ""}, {"NO_PROXY": "example.com"}, {"PATH": "/bin"}]
)
def test_hole_31_without_a_proxy_nothing_is_set(environment: dict[str, str]):
    """Hole 31: where no proxy is named, the environment stays as it is."""
    assert without_proxy(environment) == {}


@pytest.mark.parametrize(
    ("given", "lower", "upper"),
    [
        ({"NO_PROXY": "a.example, .b"}, f"a.example,.b,{OURS}", f"a.example,.b,{OURS}"),
        ({"no_proxy": "a.example"}, f"a.example,{OURS}", f"a.example,{OURS}"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, f"a,{OURS}", f"b,{OURS}"),
        ({"no_proxy": "", "NO_PROXY": "b"}, f"b,{OURS}", f"b,{OURS}"),
        ({"NO_PROXY": OURS}, OURS, OURS),
        ({"NO_PROXY": "127.0.0.1"}, "127.0.0.1,localhost,::1,[::1]", "127.0.0.1,localhost,::1,[::1]"),
        ({"NO_PROXY": "*"}, "*", "*"),
    ],
)
def test_hole_31_the_user_s_exceptions_stay(given: dict[str, str], lower: str, upper: str):
    """Hole 31: what the user excepted from the proxy stays excepted, under either name."""
    assert without_proxy({"https_proxy": "http://proxy:3128", **given}) == {
        "no_proxy": lower,
        "NO_PROXY": upper,
    }

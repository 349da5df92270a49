"""Where services may be: which addresses are refused, and what an operator can allow."""

from ipaddress import ip_address

import pytest

from pyworkflow.errors import InvalidRequestError
from pyworkflow.services import AddressPolicy, ForbiddenAddressError
from pyworkflow.services.policy import Place

PUBLIC = AddressPolicy()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("http://example.org/", Place("example.org", 80)),
        ("https://example.org", Place("example.org", 443)),
        ("HTTPS://Example.ORG.:8443/a%20b/?q=1&r=~", Place("example.org", 8443)),
        ("http://my-service:5000/", Place("my-service", 5000)),
        (f"http://{'a' * 63}.b/", Place(f"{'a' * 63}.b", 80)),
        ("http://93.184.216.34/x", Place("93.184.216.34", 80)),
        ("http://[2606:2800:220:1::1]:81/", Place("2606:2800:220:1::1", 81)),
    ],
)
def test_public_addresses_may_be_called(address: str, place: Place) -> None:
    assert PUBLIC.check(address) == place


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.0x1/",
        "http://0.0.0.0/",
        "http://localhost/",
        "http://localhost./",
        "http://LOCALHOST:80/",
        "http://a.localhost/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://239.255.255.250/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    with pytest.raises(ForbiddenAddressError) as caught:
        PUBLIC.check(address)
    assert caught.value.field == "address"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.org",
        "//example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "ftp://example.org/",
        "http://",
        "http:///x",
        "http://user:secret@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org#@127.0.0.1/",
        "http://example.org/#fragment",
        "http://example.org\\@127.0.0.1/",
        "http://example.org/a b",
        "http://example.org/\r\nHost: x",
        "http://example.org/\n",
        "http://exa\u0000mple.org/",
        "http://exämple.org/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:x/",
        "http://-example.org/",
        "http://exam..ple.org/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://%31%32%37.0.0.1/",
        f"http://{'a' * 64}.example.org/",
        f"http://{'a.' * 128}/",
    ],
)
def test_what_is_no_plain_url_is_refused(address: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        PUBLIC.check(address)
    with pytest.raises(ForbiddenAddressError):
        AddressPolicy(["0.0.0.0/0", "::/0"]).check(address)


def test_an_operator_allows_hosts_and_networks() -> None:
    policy = AddressPolicy(["127.0.0.1", "10.1.0.0/16", "fd00::/8", "Inner.Example.org", "db"])

    assert policy.check("http://127.0.0.1:5001/") == Place("127.0.0.1", 5001)
    assert policy.check("http://localhost:5001/") == Place("localhost", 5001)
    policy.check("http://10.1.2.3/")
    policy.check("http://[fd00::5]/")
    policy.check("http://[::ffff:10.1.2.3]/")
    policy.check_ip("inner.example.org", ip_address("192.168.0.9"))
    policy.check_ip("db", ip_address("127.0.0.2"))
    for host, ip in [("other", "10.2.0.1"), ("other", "127.0.0.2"), ("x.db", "10.0.0.1")]:
        with pytest.raises(ForbiddenAddressError, match=ip):
            policy.check_ip(host, ip_address(ip))


@pytest.mark.parametrize("word", ["", "10.0.0.0/33", "a b", "127.1", "http://x/", "*"])
def test_what_an_operator_cannot_mean_is_refused(word: str) -> None:
    with pytest.raises(InvalidRequestError, match="allowed address"):
        AddressPolicy([word])


def test_ports_can_be_limited() -> None:
    policy = AddressPolicy(ports=[443, 8443])

    policy.check("https://example.org/")
    policy.check("http://example.org:8443/")
    for address in ("http://example.org/", "https://example.org:22/"):
        with pytest.raises(ForbiddenAddressError, match="port"):
            policy.check(address)

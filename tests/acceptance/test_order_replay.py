"""The example of an order as plain async code."""

import pytest

from examples.order_replay.__main__ import main


def test_orders_are_sold_declined_or_canceled(capsys: pytest.CaptureFixture[str]) -> None:
    main()

    assert capsys.readouterr().out.splitlines() == [
        "tea is paid",
        "tea: completed, reserve, charge, ship",
        "gold: failed, reserve, charge, release",
        "cup: canceled, reserve, charge, refund, release",
    ]

"""SIP routing through Microsoft's own client, as its documentation shows it."""

import os

from azure.communication.phonenumbers.siprouting import (
    SipRoutingClient,
    SipTrunk,
    SipTrunkRoute,
)
from azure.core.exceptions import HttpResponseError

client = SipRoutingClient.from_connection_string(os.environ["ACS_CONNECTION_STRING"])


def trunks():
    return {trunk.fqdn: trunk.sip_signaling_port for trunk in client.list_trunks()}


assert trunks() == {}, trunks()
client.set_trunk(SipTrunk(fqdn="sbc1.contoso.example", sip_signaling_port=5061))
client.set_trunks(
    [
        SipTrunk(fqdn="sbc2.contoso.example", sip_signaling_port=5062),
        SipTrunk(fqdn="sbc3.contoso.example", sip_signaling_port=5063),
    ]
)
assert trunks() == {"sbc2.contoso.example": 5062, "sbc3.contoso.example": 5063}, trunks()
assert client.get_trunk("sbc2.contoso.example").sip_signaling_port == 5062
client.set_routes(
    [
        SipTrunkRoute(
            name="us",
            description="d",
            number_pattern=r"^\+1[0-9]{10}$",
            trunks=["sbc2.contoso.example"],
        ),
        SipTrunkRoute(name="rest", number_pattern=r"^\+[0-9]+$", trunks=["sbc3.contoso.example"]),
    ]
)
routes = list(client.list_routes())
assert [route.name for route in routes] == ["us", "rest"], routes
assert routes[0].number_pattern == r"^\+1[0-9]{10}$", routes[0]
try:
    client.set_routes([SipTrunkRoute(name="x", number_pattern="1", trunks=["sbc9.contoso.example"])])
    raise AssertionError("a route without its trunk was taken")
except HttpResponseError as error:
    assert error.status_code == 422, error
    assert error.error.code == "UnprocessableConfiguration", error.error
client.set_routes([])
client.delete_trunk("sbc2.contoso.example")
assert trunks() == {"sbc3.contoso.example": 5063}, trunks()
print("sip routing: fine")

"""Numbers through Microsoft's own client: what its guide leaves out."""

import os

from azure.communication.phonenumbers import PhoneNumbersClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

client = PhoneNumbersClient.from_connection_string(os.environ["ACS_CONNECTION_STRING"])

changed = client.begin_update_phone_number_capabilities(
    "+18335550100", sms="none", calling="inbound"
).result()
assert changed.capabilities.calling == "inbound", changed
assert client.get_purchased_phone_number("+18335550100").capabilities.sms == "none"
client.begin_release_phone_number("+18335550100").result()
try:
    client.get_purchased_phone_number("+18335550100")
    raise AssertionError("a number that was given up is there")
except ResourceNotFoundError as error:
    assert error.error.code == "PhoneNumberNotFound", error.error
try:
    client.begin_search_available_phone_numbers(
        "US",
        "geographic",
        "application",
        {"calling": "inbound+outbound", "sms": "inbound+outbound"},
        quantity=1,
    ).result()
    raise AssertionError("a geographic number with SMS was found")
except HttpResponseError as error:
    assert error.error.code == "InvalidOfferModel", error.error
print("numbers: fine")

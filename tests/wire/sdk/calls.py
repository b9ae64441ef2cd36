"""Calls through Microsoft's own client: one that comes in, joined with the telephone network, and
one that goes out and finds it busy. Serves its own webhook, whose port is its first line."""

import json
import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.communication.callautomation import (
    CallAutomationClient,
    CallConnectionState,
    PhoneNumberIdentifier,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.messaging import CloudEvent

OWNED = PhoneNumberIdentifier(os.environ["OWNED"])
FAR = PhoneNumberIdentifier(os.environ["FAR"])
BUSY = PhoneNumberIdentifier(os.environ["BUSY"])

came = queue.Queue()


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = b""
        for event in body:
            kind = event.get("eventType") or event["type"]
            if kind.endswith("SubscriptionValidationEvent"):
                said = json.dumps({"validationResponse": event["data"]["validationCode"]}).encode()
            elif "eventType" in event:
                came.put((kind.rsplit(".", 1)[1], event["data"]))
            else:
                cloud = CloudEvent.from_dict(event)
                assert self.headers["Authorization"].startswith("Bearer "), self.headers
                came.put((cloud.type.rsplit(".", 1)[1], cloud.data))
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


def expect(wanted):
    """The data of the next event but those of who takes part, which must be this one."""
    while True:
        kind, data = came.get(timeout=10)
        if kind != "ParticipantsUpdated":
            assert kind == wanted, (wanted, kind, data)
            return data


server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"port {server.server_port}", flush=True)
callback = f"http://127.0.0.1:{server.server_port}/calls"

client = CallAutomationClient.from_connection_string(os.environ["ACS_CONNECTION_STRING"])
incoming = expect("IncomingCall")
assert incoming["customContext"]["sipHeaders"]["X-MS-Custom-Nonce"] == "n-1", incoming
answered = client.answer_call(
    incoming_call_context=incoming["incomingCallContext"],
    callback_url=callback,
    operation_context="answer",
)
connected = expect("CallConnected")
assert connected["operationContext"] == "answer", connected
assert connected["callConnectionId"] == answered.call_connection_id, connected
call = client.get_call_connection(answered.call_connection_id)
assert call.get_call_properties().call_connection_state == CallConnectionState.CONNECTED

added = call.add_participant(
    FAR, source_caller_id_number=OWNED, invitation_timeout=30, operation_context="add"
)
assert added.invitation_id, added
succeeded = expect("AddParticipantSucceeded")
assert succeeded["operationContext"] == "add", succeeded
assert succeeded["participant"]["rawId"] == FAR.raw_id, succeeded
everybody = [one.identifier.raw_id for one in call.list_participants()]
assert FAR.raw_id in everybody and len(everybody) == 2, everybody
assert call.get_participant(FAR).identifier.raw_id == FAR.raw_id

call.add_participant(BUSY, source_caller_id_number=OWNED)
failed = expect("AddParticipantFailed")
assert failed["resultInformation"]["subCode"] == 560486, failed
assert failed["resultInformation"]["sipDetails"]["code"] == 486, failed
try:
    call.add_participant(FAR)
    raise AssertionError("nobody may be called without a caller id")
except HttpResponseError as error:
    assert error.status_code == 400 and error.error.code == "8523", error

call.remove_participant(FAR, operation_context="remove")
assert expect("RemoveParticipantSucceeded")["operationContext"] == "remove"
call.hang_up(is_for_everyone=True)
expect("CallDisconnected")
try:
    call.get_call_properties()
    raise AssertionError("a call that is over is there")
except ResourceNotFoundError as error:
    assert error.error.code == "8522", error.error

outgoing = client.create_call(BUSY, callback, source_caller_id_number=OWNED)
assert outgoing.call_connection_state == CallConnectionState.CONNECTING, outgoing
assert expect("CreateCallFailed")["callConnectionId"] == outgoing.call_connection_id
outgoing = client.create_call(FAR, callback, source_caller_id_number=OWNED)
expect("CallConnected")
client.get_call_connection(outgoing.call_connection_id).hang_up(is_for_everyone=False)
expect("CallDisconnected")
print("calls: fine")

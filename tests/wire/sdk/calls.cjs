// Calls through Microsoft's own client: one that comes in, joined with the telephone network, and
// one that goes out and finds it busy. Serves its own webhook, whose port is its first line.
"use strict";
const assert = require("node:assert/strict");
const http = require("node:http");
const {
  CallAutomationClient,
  parseCallAutomationEvent,
} = require("@azure/communication-call-automation");

const phone = (name) => ({ phoneNumber: process.env[name] });
const [OWNED, FAR, BUSY] = ["OWNED", "FAR", "BUSY"].map(phone);

const came = [];
let wake = () => {};

const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (chunk) => (text += chunk));
  request.on("end", () => {
    let said = "";
    for (const event of JSON.parse(text)) {
      if (event.eventType?.endsWith("SubscriptionValidationEvent")) {
        said = JSON.stringify({ validationResponse: event.data.validationCode });
      } else if (event.eventType) {
        came.push(["IncomingCall", event.data]);
      } else {
        const parsed = parseCallAutomationEvent(event);
        came.push([parsed.kind, parsed]);
      }
    }
    response.end(said);
    wake();
  });
});

// The next event but those of who takes part, which must be this one.
async function expect(wanted) {
  for (;;) {
    while (came.length === 0) {
      const late = new Promise((_, reject) => setTimeout(reject, 10000, new Error(wanted)).unref());
      await Promise.race([new Promise((resolve) => (wake = resolve)), late]);
    }
    const [kind, data] = came.shift();
    if (kind !== "ParticipantsUpdated") {
      assert.equal(kind, wanted, JSON.stringify(data));
      return data;
    }
  }
}

async function refused(asked, status, code) {
  await assert.rejects(asked, (error) => error.statusCode === status && error.code === code);
}

async function main() {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  console.log(`port ${port}`);
  const callback = `http://127.0.0.1:${port}/calls`;
  const client = new CallAutomationClient(process.env.ACS_CONNECTION_STRING);

  const incoming = await expect("IncomingCall");
  assert.equal(incoming.customContext.sipHeaders["X-MS-Custom-Nonce"], "n-1");
  const answered = await client.answerCall(incoming.incomingCallContext, callback, {
    operationContext: "answer",
  });
  const connected = await expect("CallConnected");
  assert.equal(connected.operationContext, "answer");
  const call = answered.callConnection;
  const props = await call.getCallConnectionProperties();
  assert.equal(props.callConnectionState, "connected");
  assert.equal(props.callConnectionId, connected.callConnectionId);

  const invite = (who) => ({ targetParticipant: who, sourceCallIdNumber: OWNED });
  const added = await call.addParticipant(invite(FAR), { operationContext: "add" });
  assert.ok(added.invitationId);
  const succeeded = await expect("AddParticipantSucceeded");
  assert.equal(succeeded.operationContext, "add");
  assert.equal(succeeded.participant.phoneNumber, FAR.phoneNumber);
  const everybody = (await call.listParticipants()).values;
  assert.equal(everybody.length, 2);
  await call.getParticipant(FAR);
  await call.addParticipant(invite(BUSY));
  const failed = await expect("AddParticipantFailed");
  assert.equal(failed.resultInformation.subCode, 560486);
  await call.removeParticipant(FAR, { operationContext: "remove" });
  assert.equal((await expect("RemoveParticipantSucceeded")).operationContext, "remove");
  await call.hangUp(true);
  await expect("CallDisconnected");
  await refused(call.getCallConnectionProperties(), 404, "8522");

  const outgoing = await client.createCall(invite(BUSY), callback);
  const gone = await expect("CreateCallFailed");
  assert.equal(gone.callConnectionId, outgoing.callConnectionProperties.callConnectionId);
  const other = await client.createCall(invite(FAR), callback);
  await expect("CallConnected");
  await other.callConnection.hangUp(false);
  await expect("CallDisconnected");
  console.log("calls: fine");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

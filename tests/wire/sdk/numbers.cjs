// SIP routing and numbers through Microsoft's own client.
"use strict";
const assert = require("node:assert/strict");
const { PhoneNumbersClient, SipRoutingClient } = require("@azure/communication-phone-numbers");

const connection = process.env.ACS_CONNECTION_STRING;

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

async function refused(asked, status, code) {
  await assert.rejects(asked, (error) => error.statusCode === status && error.code === code);
}

async function routing() {
  const client = new SipRoutingClient(connection);
  const trunks = async () =>
    Object.fromEntries((await all(client.listTrunks())).map((one) => [one.fqdn, one.sipSignalingPort]));
  assert.deepEqual(await trunks(), {});
  await client.setTrunk({ fqdn: "sbc1.contoso.example", sipSignalingPort: 5061 });
  await client.setTrunks([
    { fqdn: "sbc2.contoso.example", sipSignalingPort: 5062 },
    { fqdn: "sbc3.contoso.example", sipSignalingPort: 5063 },
  ]);
  assert.deepEqual(await trunks(), { "sbc2.contoso.example": 5062, "sbc3.contoso.example": 5063 });
  assert.equal((await client.getTrunk("sbc2.contoso.example")).sipSignalingPort, 5062);
  const us = { name: "us", description: "d", numberPattern: "^\\+1[0-9]{10}$", trunks: ["sbc2.contoso.example"] };
  await client.setRoutes([us]);
  const routes = await all(client.listRoutes());
  assert.deepEqual(routes.map((route) => [route.name, route.numberPattern]), [["us", us.numberPattern]]);
  await refused(
    client.setRoutes([{ ...us, trunks: ["sbc9.contoso.example"] }]),
    422,
    "UnprocessableConfiguration",
  );
  await client.setRoutes([]);
  await client.deleteTrunk("sbc2.contoso.example");
  assert.deepEqual(await trunks(), { "sbc3.contoso.example": 5063 });
}

async function numbers() {
  const client = new PhoneNumbersClient(connection);
  const search = await client.beginSearchAvailablePhoneNumbers({
    countryCode: "US",
    phoneNumberType: "tollFree",
    assignmentType: "application",
    capabilities: { calling: "inbound+outbound", sms: "none" },
    quantity: 1,
  });
  const found = await search.pollUntilDone();
  assert.equal(found.phoneNumbers.length, 1);
  const [number] = found.phoneNumbers;
  await (await client.beginPurchasePhoneNumbers(found.searchId)).pollUntilDone();
  assert.deepEqual((await all(client.listPurchasedPhoneNumbers())).map((one) => one.phoneNumber), [number]);
  const change = await client.beginUpdatePhoneNumberCapabilities(number, { calling: "inbound", sms: "none" });
  assert.equal((await change.pollUntilDone()).capabilities.calling, "inbound");
  await (await client.beginReleasePhoneNumber(number)).pollUntilDone();
  await refused(client.getPurchasedPhoneNumber(number), 404, "PhoneNumberNotFound");
}

routing()
  .then(numbers)
  .then(
    () => {
      console.log("numbers: fine");
      process.exit(0);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );

// Sends one request with a published L402 client, which pays from an LNbits wallet if the server asks for it.
//
//   node pay.mjs URL METHOD BODY LNBITS_URL ADMIN_KEY [HEADERS]
//
// BODY may be empty; HEADERS is a JSON object. One line of JSON on standard output: status, headers, body (text), and
// paid: the invoices that the wallet paid, with their preimages.
import { fetch402 } from "@getalby/lightning-tools/402";

const [url, method, body, lnbits, adminKey, headers = "{}"] = process.argv.slice(2);

const paid = [];
const wallet = {
  async payInvoice({ invoice }) {
    const answer = await fetch(`${lnbits}/api/v1/payments`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": adminKey },
      body: JSON.stringify({ out: true, bolt11: invoice }),
    });
    const payment = await answer.json();
    if (!answer.ok || !payment.preimage) {
      throw new Error(`the wallet did not pay: ${answer.status} ${JSON.stringify(payment)}`);
    }
    paid.push({ invoice, preimage: payment.preimage });
    return { preimage: payment.preimage };
  },
};

const init = { method, headers: { "content-type": "application/json", ...JSON.parse(headers) } };
if (body) {
  init.body = body;
}
const answer = await fetch402(url, init, { wallet });
console.log(
  JSON.stringify({
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: await answer.text(),
    paid,
  }),
);
